"""The pictures of the page on conditions.

    python docs/images/conditions.py CONDITIONAL UNCONDITIONAL INK

CONDITIONAL and UNCONDITIONAL are runs of `mnist-conditional` and `mnist`, INK the run of the page's own example.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch

import vaekit
from vaekit.render import Strip, strips

HERE = Path(__file__).parent


def main(conditional: str, unconditional: str, ink: str) -> None:
    """Draw all of them."""
    run, plain, inked = (vaekit.load(path) for path in (conditional, unconditional, ink))
    draw_styles(run)
    draw_restyled(run)
    draw_edits(plain)
    draw_sweep(inked)


def draw_styles(run: vaekit.Run) -> None:
    """One row a label, the same latents in each column."""
    made = vaekit.generate(run, n=14, seed=4, condition=["label=all"])
    rows = made.images.reshape(10, 14, *run.spec.shape)
    sheet = [Strip(name, row) for name, row in zip(made.conditions, rows, strict=True)]
    strips(sheet, run.spec, together=len(sheet), factor=2).save(HERE / "styles.png")


def draw_restyled(run: vaekit.Run) -> None:
    """Inputs, their reconstructions, and the same style as two other classes."""
    found = vaekit.reconstruct(run, n=14, samples=1, condition=["label=4", "label=9"])
    assert found.changed is not None
    sheet = [Strip("input", found.inputs), Strip("reconstruction", found.outputs)]
    sheet += [Strip(name, found.changed[:, i]) for i, name in enumerate(found.conditions)]
    strips(sheet, run.spec, together=len(sheet), factor=2).save(HERE / "restyled.png")


def draw_edits(run: vaekit.Run) -> None:
    """Rows of unconditional digits along the direction of a class."""
    made = vaekit.edit(run, "label=3", torch.linspace(-2, 2, 9).tolist(), n=6)
    strips([Strip("label=3, -2 to 2", row) for row in made.images], run.spec, factor=2).save(HERE / "edits.png")


def draw_sweep(run: vaekit.Run) -> None:
    """A number over its range, for two labels."""
    made = vaekit.generate(run, n=1, condition=["label=3", "label=8", "ink=3..7:9"])
    rows = made.images.reshape(2, 9, *run.spec.shape)
    sheet = [Strip(f"label={label}, ink 3 to 7", row) for label, row in zip((3, 8), rows, strict=True)]
    strips(sheet, run.spec, factor=6).save(HERE / "sweep.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
