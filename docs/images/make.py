"""The picture of the README: held-out digits over their reconstructions, and digits drawn from the prior.

    python docs/images/make.py RUN
"""

from __future__ import annotations

import sys
from pathlib import Path

import vaekit
from vaekit.render import Strip, strips

COLUMNS = 14


def main(path: str) -> None:
    """Draw the pictures of one run."""
    run = vaekit.load(path)
    rebuilt = vaekit.reconstruct(run, n=COLUMNS)
    drawn = vaekit.generate(run, n=2 * COLUMNS, seed=3).images
    rows = [
        Strip("held out", rebuilt.inputs),
        Strip("rebuilt", rebuilt.outputs),
        Strip("made up", drawn[:COLUMNS]),
        Strip("made up", drawn[COLUMNS:]),
    ]
    strips(rows, run.spec, together=2).save(Path(__file__).parent / "digits.png")


if __name__ == "__main__":
    main(sys.argv[1])
