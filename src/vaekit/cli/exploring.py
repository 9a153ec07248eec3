"""`vaekit interpolate`, `vaekit traverse`: walks through the latent space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vaekit.cli import screen
from vaekit.cli.base import command
from vaekit.cli.files import check_free, target
from vaekit.cli.options import Conditions, Data, Force, RunPath, Seed, Split, option, split_name
from vaekit.cli.progress import bar
from vaekit.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from vaekit.core import DataSpec
    from vaekit.tasks.interpolate import Interpolation, Mode

FRAMES = 24  # of an animation, at the least

Start = Annotated[int | None, option("I", "The row at which a path begins.", "--from")]
End = Annotated[int | None, option("J", "The row at which it ends.", "--to")]
Modes = Annotated[
    str, typer.Option("--mode", metavar="MODES", help="linear; slerp, along the great circle; or both: linear,slerp.")
]
Dimensions = Annotated[str | None, option("I,J,...", "Latent dimensions; else the ten with the highest KL.", "--dims")]
Span = Annotated[
    float, typer.Option("--span", metavar="S", help="How far, in standard deviations of the prior, to both sides.")
]
Base = Annotated[int | None, option("I", "The row whose latents the others keep; else the prior's centre.", "--base")]
Steps = Annotated[int, typer.Option("--steps", metavar="N", min=2, help="Images in a row.")]
Animate = Annotated[bool, typer.Option("--animate", help="An animation (.gif) besides.")]
Picture = Annotated[str | None, option("FILE", "The picture (.png). Default: in the run's directory.", "-o", "--out")]


@command(
    "vaekit interpolate runs/mnist", "vaekit interpolate runs/mnist --from 3 --to 18 --mode linear,slerp --animate"
)
def interpolate(
    run: RunPath,
    start: Start = None,
    end: End = None,
    mode: Modes = "linear",
    steps: Steps = 9,
    data: Data = None,
    split: Split = "test",
    seed: Seed = 0,
    animate: Animate = False,
    out: Picture = None,
    force: Force = False,
) -> None:
    """Walk from example to example through the latent space."""
    from vaekit import render
    from vaekit import run as runs
    from vaekit.tasks.interpolate import interpolate as task

    if (start is None) != (end is None):
        raise ConfigError("expected both --from and --to, or neither (then four pairs are chosen)")
    where = target(out, run / "interpolation.png", force, ["picture"])
    check_moving(animate, out, where.path, force)
    loaded = runs.load(run)
    pairs = None if start is None or end is None else [(start, end)]
    modes = [part.strip() for part in mode.split(",")]

    def paths(count: int) -> list[Interpolation]:
        with bar("interpolating") as progress:
            return [
                task(
                    loaded,
                    pairs,
                    count,
                    cast("Mode", part),
                    data=data,
                    split=split_name(split),
                    seed=seed,
                    progress=progress,
                )
                for part in modes
            ]

    made = paths(steps)
    strips = [
        render.Strip(f"{path.mode} {ends(path, number, pairs)}", path.images[number])
        for number in range(len(made[0].images))
        for path in made
    ]
    render.save(render.rows(strips, loaded.spec, together=len(made)), where.path)
    screen.tell(
        f"{screen.counted(len(made[0].images), 'path')} of {steps} steps, {' and '.join(modes)}; ends are posterior centres"
    )
    screen.say(f"wrote {where.path}")
    if animate:
        import torch

        finer = made if steps >= FRAMES else paths(FRAMES)
        write_animation(torch.cat([path.images for path in finer]).transpose(0, 1), loaded.spec, where.path)


def ends(path: Interpolation, number: int, asked: list[tuple[int, int]] | None) -> str:
    """Both ends of a path: the rows that were asked for, or the ids of those that were chosen."""
    a, b = path.ids[number] if asked is None else asked[number]
    return f"{a} to {b}"


@command("vaekit traverse runs/mnist", "vaekit traverse runs/mnist --dims 0,4,7 --span 2 --base 12 --animate")
def traverse(
    run: RunPath,
    dims: Dimensions = None,
    span: Span = 3.0,
    steps: Steps = 9,
    base: Base = None,
    data: Data = None,
    split: Split = "test",
    condition: Conditions = None,
    animate: Animate = False,
    out: Picture = None,
    force: Force = False,
) -> None:
    """Show what single latent dimensions do, one row for each."""
    from vaekit import render
    from vaekit import run as runs
    from vaekit.tasks.traverse import traverse as task

    where = target(out, run / "traversal.png", force, ["picture"])
    check_moving(animate, out, where.path, force)
    chosen = numbers("--dims", dims) if dims is not None else None
    loaded = runs.load(run)
    with bar("traversing") as progress:
        made = task(
            loaded,
            chosen,
            span,
            steps,
            base,
            data=data,
            split=split_name(split),
            condition=condition,
            progress=progress,
        )
    labels = [f"z{dimension}" for dimension in made.dimensions]
    if made.kl is not None:
        labels = [f"{label}  {kl:.2f} nats" for label, kl in zip(labels, made.kl, strict=True)]
    strips = [render.Strip(label, images) for label, images in zip(labels, made.images, strict=True)]
    render.save(render.rows(strips, loaded.spec), where.path)
    kept = "the prior's centre" if made.base == "prior" else f"the posterior's centre of {made.base}"
    screen.tell(
        f"{screen.counted(len(labels), 'dimension')} from -{span:g} to {span:g} standard deviations; others at {kept}"
    )
    screen.say(f"wrote {where.path}")
    if animate:
        write_animation(made.images.transpose(0, 1), loaded.spec, where.path)


@command(
    "vaekit edit runs/mnist --attribute label=3 --strength -2..2",
    "vaekit edit runs/photos --attribute label=smiling --rows 3,17 --data photos/",
)
def edit(
    run: RunPath,
    attribute: Annotated[
        list[str],
        option("NAME=VALUE", "label=3, by name or number; or the name of a number. May be repeated.", "--attribute"),
    ],
    strength: Annotated[str, typer.Option(metavar="A..B", help="How far, in steps of the attribute.")] = "-2..2",
    steps: Steps = 9,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many examples, evenly spaced.")] = 8,
    rows: Annotated[str | None, option("I,J,...", "Or these rows.")] = None,
    attributes: Annotated[
        str | None,
        option("FILE", "A table (.csv, .npz) of further columns, with a column file. Default: the run's own."),
    ] = None,
    data: Data = None,
    split: Split = "test",
    seed: Seed = 0,
    out: Picture = None,
    force: Force = False,
) -> None:
    """Move examples along the direction of an attribute.

    The direction is the mean of the latents of labelled examples with the attribute, less that of the others: it needs labels,
    but no conditional run.
    """
    from vaekit import render
    from vaekit import run as runs
    from vaekit.tasks.conditions import ranged
    from vaekit.tasks.edit import edit as task

    where = target(out, run / "edits.png", force, ["picture"])
    strengths = ranged("--strength", f"{strength}:{steps}")
    indices = None if rows is None else numbers("--rows", rows)
    loaded = runs.load(run)
    strips = []
    for each in attribute:
        with bar("editing") as progress:
            made = task(
                loaded,
                each,
                strengths,
                n=n,
                indices=indices,
                data=data,
                split=split_name(split),
                attributes=attributes,
                seed=seed,
                progress=progress,
            )
        ends = f"{strengths[0]:g} to {strengths[-1]:g}"
        strips += [render.Strip(f"{each}, {ends}", x) for x in made.images]
        screen.tell(
            f"{each}: from {made.examples[0]} examples {'with it' if '=' in each else 'above its mean'} and "
            f"{made.examples[1]} {'without' if '=' in each else 'below'}; "
            f"strengths {strengths[0]:g} to {strengths[-1]:g}"
        )
    render.save(render.rows(strips, loaded.spec), where.path)
    screen.say(f"wrote {where.path}")


def numbers(option: str, text: str) -> list[int]:
    """`0,4,7` → [0, 4, 7]. Raises `ConfigError`."""
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise ConfigError(f"{option}: expected numbers such as 0,4,7; got '{text}'") from None


def check_moving(wanted: bool, out: str | None, picture: Path, force: bool) -> None:
    """The animation stands beside the picture that was asked for: neither is overwritten unasked."""
    if wanted and out is not None:
        check_free(picture.with_suffix(".gif"), force)


def write_animation(x: Tensor, spec: DataSpec, picture: Path) -> None:
    """Steps of examples `(steps, n, *shape)` as a moving grid beside a picture. Raises `ConfigError` for vectors."""
    from vaekit import render

    if not render.drawable(spec):
        raise ConfigError(f"--animate: expected data that is an image, got {spec.shape}")
    path = picture.with_suffix(".gif")
    render.animate(render.frames(x, spec), path)
    screen.say(f"wrote {path}")
