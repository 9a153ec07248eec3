"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

if TYPE_CHECKING:
    from vaekit.run import SplitName


def known_runs(incomplete: str = "") -> list[str]:
    """The runs in the usual place, for the shell's completion."""
    found = sorted(str(info.parent) for info in Path("runs").glob("*/run.json"))
    return [run for run in found if run.startswith(incomplete)]


def option(
    metavar: str,
    text: str,
    *names: str,
    complete: Callable[[str], list[str]] | None = None,
    least: int | None = None,
) -> Any:
    """An option without a default worth showing."""
    return typer.Option(*names, metavar=metavar, help=text, show_default=False, autocompletion=complete, min=least)


RunPath = Annotated[
    Path, typer.Argument(metavar="RUN", help="The run's directory.", show_default=False, autocompletion=known_runs)
]
Data = Annotated[
    str | None,
    option(
        "PATH",
        "Other data than the run's own: a folder of images, an image, a .csv, .parquet, .npy or .npz file.",
        "--data",
    ),
]
Split = Annotated[
    str, typer.Option("--split", metavar="SPLIT", help="Of the run's own data: train, validation or test.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", min=0, help="Of all noise: the same seed, the same result.")]
Pixels = Annotated[
    str,
    typer.Option(
        "--pixels", metavar="KIND", help="mean: the centre of p(x | z), smooth; sample: a draw from it, with its noise."
    ),
]
Conditions = Annotated[
    list[str] | None,
    option(
        "NAME=VALUE",
        "A value of the context: label=7, by name or number, label=all, a range age=20..60:5. Repeated: one after the other.",
        "--condition",
        "-c",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite what is there.")]
Json = Annotated[str | None, option("FILE", "As JSON; - is standard output.", "--json")]


def split_name(split: str) -> SplitName:
    """What the tasks take; they check it."""
    return cast("SplitName", split)
