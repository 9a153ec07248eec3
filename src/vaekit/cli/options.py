"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from vaekit.run import SplitName


def known_runs(incomplete: str = "") -> list[str]:
    """The runs in the usual place, for the shell's completion."""
    found = sorted(str(info.parent) for info in Path("runs").glob("*/run.json"))
    return [run for run in found if run.startswith(incomplete)]


RunPath = Annotated[
    Path, typer.Argument(metavar="RUN", help="The run's directory.", show_default=False, autocompletion=known_runs)
]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="PATH",
        help="Other data than the run's own: a folder of images, an image, a .npy or .npz file.",
        show_default=False,
    ),
]
Split = Annotated[
    str, typer.Option("--split", metavar="SPLIT", help="Of the run's own data: train, validation or test.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of all noise: the same seed, the same result.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
Pixels = Annotated[
    str,
    typer.Option(
        "--pixels", metavar="KIND", help="mean: the centre of p(x | z), smooth; sample: a draw from it, with its noise."
    ),
]
Json = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="As JSON; - is standard output.", show_default=False),
]


def split_name(split: str) -> SplitName:
    """What the tasks take; they check it."""
    return cast("SplitName", split)
