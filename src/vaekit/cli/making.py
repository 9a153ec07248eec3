"""`vaekit generate`, `reconstruct`, `embed`, `decode`: what a run makes of data, and of nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vaekit.cli import screen
from vaekit.cli.base import command
from vaekit.cli.files import Examples, check_free, default_name, forms_of, target, write_examples
from vaekit.cli.options import Conditions, Data, Force, Pixels, RunPath, Seed, Split, option, split_name
from vaekit.cli.progress import bar
from vaekit.errors import ConfigError

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from vaekit.core import DataSpec
    from vaekit.run import Run
    from vaekit.tasks.decoding import Pixels as PixelKind
    from vaekit.tasks.reconstruct import Reconstruction

PICTURED = 60  # pairs of a picture of reconstructions
GRID, ROW = 64, 10  # new examples of a picture, and of one row of it

Out = Annotated[
    str | None,
    option(
        "OUT",
        "A grid (.png), arrays (.npz), or single files in a folder (no suffix). Default: in the run's directory.",
        "-o",
        "--out",
    ),
]


@command(
    "vaekit generate runs/mnist -n 100",
    "vaekit generate runs/mnist --temperature 0.7 --pixels sample -o new.png",
    "vaekit generate runs/mnist -n 1000 -o new/",
    "vaekit generate runs/mnist-conditional -c label=3 -c label=7",
    "vaekit generate runs/mnist-conditional --per-class 100 -o balanced/",
)
def generate(
    run: RunPath,
    n: Annotated[
        int | None, option("N", f"How many, under each condition. Default: {GRID}, or {ROW} in a row.", "-n", least=1)
    ] = None,
    condition: Conditions = None,
    per_class: Annotated[
        int | None, option("N", "A balanced set: so many of each class, each with a style of its own.", least=1)
    ] = None,
    temperature: Annotated[
        float, typer.Option(metavar="T", help="Below 1: more typical, less varied; above: the reverse.")
    ] = 1.0,
    pixels: Pixels = "mean",
    seed: Seed = 0,
    out: Out = None,
    force: Force = False,
) -> None:
    """Draw new examples: latents from the prior, decoded.

    Under several conditions the picture has a row for each, from the same noise in every row: columns share a style.
    """
    from vaekit import run as runs
    from vaekit.tasks.generate import generate as task

    loaded = runs.load(run)
    where = target(out, run / default_name(loaded.spec, "samples"), force, forms_of(loaded.spec))
    asked = balanced(loaded, condition, n) if per_class else condition
    count = per_class or n or (GRID if len(asked or ()) < 2 and not every(asked) else ROW)
    with bar("generating") as progress:
        made = task(
            loaded,
            count,
            temperature,
            seed,
            cast("PixelKind", pixels),
            condition=asked,
            same=per_class is None,
            progress=progress,
        )
    write_examples(
        where,
        Examples(made.images, made.latents, made.conditions, made.context, sorted_by=sorting(loaded, per_class)),
        loaded.spec,
    )
    under = f" under each of {len(made.conditions)} conditions" if len(made.conditions) > 1 else ""
    under = f" with {made.conditions[0]}" if len(made.conditions) == 1 else under
    screen.tell(
        f"{screen.counted(count, 'new example')}{under} at temperature {temperature:g}, seed {seed}; "
        f"{what_is_shown(loaded.spec, pixels)}"
    )
    screen.say(f"wrote {where.path}")


def sorting(run: Run, per_class: int | None) -> str:
    """The entry whose classes are sub-folders; none but for a balanced set."""
    from vaekit.tasks.conditions import category_of

    return category_of(run) or "" if per_class else ""


def every(asked: list[str] | None) -> bool:
    """Whether a condition stands for several: all classes, or a range."""
    return any(text.endswith("=all") or ".." in text for text in asked or ())


def balanced(run: Run, condition: list[str] | None, n: int | None) -> list[str]:
    """The conditions of a balanced set: all classes, unless some are named, under whatever else is asked for.

    Raises `ConfigError` beside -n.
    """
    from vaekit.tasks.conditions import category_of

    if n is not None:
        raise ConfigError("--per-class says how many: leave -n out")
    category, asked = category_of(run) or "label", condition or []  # a run without one refuses it, in words
    named = any(text.partition("=")[0].strip() == category for text in asked)
    return [*asked] if named else [f"{category}=all", *asked]


def what_is_shown(spec: DataSpec, pixels: str) -> str:
    """Whether values are centres of p(x | z) or draws from it, in words."""
    name = "pixels" if spec.is_image else "values"
    if pixels == "mean":
        return f"{name} are means of p(x | z), smoother than data (--pixels sample: draws)"
    return f"{name} are samples of p(x | z), with its noise (--pixels mean: its centre)"


@command(
    "vaekit reconstruct runs/mnist",
    "vaekit reconstruct runs/mnist --data photos/ --all -o back.png",
    "vaekit reconstruct runs/mnist-conditional -n 10 --condition label=4",
)
def reconstruct(
    run: RunPath,
    data: Data = None,
    split: Split = "test",
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many examples, evenly spaced.")] = PICTURED,
    all_rows: Annotated[
        bool, typer.Option("--all", help=f"All examples in the table; {PICTURED} in the picture.")
    ] = False,
    condition: Conditions = None,
    samples: Annotated[
        int, typer.Option(metavar="K", min=1, help="Draws over which an example's nats are averaged.")
    ] = 16,
    seed: Seed = 0,
    out: Annotated[
        str | None,
        option("FILE", "The picture; the table stands beside it. Default: in the run's directory.", "-o", "--out"),
    ] = None,
    force: Force = False,
) -> None:
    """Show inputs beside reconstructions; figures of each as CSV.

    The latents of an example are the centre of its posterior, and what is shown is the mean of p(x | z) there; with
    --condition also under another context, which shows the same style as another class.
    """
    from vaekit import render
    from vaekit import run as runs
    from vaekit.tasks.reconstruct import reconstruct as task
    from vaekit.tasks.rows import evenly

    where = target(out, run / "reconstructions.png", force, ["picture"])
    figures = where.path.with_suffix(".csv")
    if out is not None:
        check_free(figures, force)
    loaded = runs.load(run)
    with bar("reconstructing") as progress:
        made = task(
            loaded,
            data,
            split_name(split),
            n=None if all_rows else n,
            samples=samples,
            seed=seed,
            condition=condition,
            progress=progress,
        )
    made.save(figures)
    count = len(made.inputs)
    drawn = evenly(count, min(count, PICTURED if all_rows else n))
    render.save(picture_of(made, drawn, loaded.spec), where.path)
    screen.tell(
        f"{screen.counted(count, 'example')} of {made.dataset}; outputs are means of p(x | z) at the posterior's centre"
    )
    for name, values in made.figures().items():
        if len(values) > 1:
            stderr = (values.double().std() / len(values) ** 0.5).item()
            screen.say(f"  {name:<22} {screen.figure(values.double().mean().item(), stderr)}")
    screen.say(f"wrote {where.path}\nwrote {figures}")


def picture_of(made: Reconstruction, drawn: Tensor, spec: DataSpec) -> Image.Image:
    """Inputs above outputs; below them what they are under other conditions, where some were asked for."""
    from vaekit import render

    if made.changed is None:
        return render.pairs(made.inputs[drawn], made.outputs[drawn], spec)
    drawn = drawn[:: max(1, len(drawn) // 20)]  # one block: a column an example
    strips = [render.Strip("input", made.inputs[drawn]), render.Strip("reconstruction", made.outputs[drawn])]
    strips += [render.Strip(name, made.changed[drawn, i]) for i, name in enumerate(made.conditions)]
    return render.rows(strips, spec, together=len(strips))


@command("vaekit embed runs/mnist -o latents.csv", "vaekit embed runs/mnist --data photos/ -o photos.npz")
def embed(
    run: RunPath,
    data: Data = None,
    split: Split = "test",
    n: Annotated[
        int | None,
        typer.Option("-n", metavar="N", min=1, help="So many examples, evenly spaced; else all.", show_default=False),
    ] = None,
    seed: Seed = 0,
    out: Annotated[
        str | None, option("FILE", ".npz or .csv. Default: latents.npz in the run's directory.", "-o", "--out")
    ] = None,
    force: Force = False,
) -> None:
    """Write the latents of examples, as .npz or .csv.

    These are the means and scales (standard deviations) of the posterior, in input order, with ids and labels.
    """
    from vaekit import run as runs
    from vaekit.tasks.embed import embed as task

    where = target(out, run / "latents.npz", force, ["npz", "csv"])
    loaded = runs.load(run)
    with bar("embedding") as progress:
        made = task(loaded, data, split_name(split), n=n, seed=seed, progress=progress)
    made.save(where.path)
    count, d = made.mean.shape
    screen.tell(
        f"{screen.counted(count, 'example')}, {screen.counted(d, 'latent dimension')}: posterior means and scales"
    )
    screen.say(f"wrote {where.path}")
    screen.commands("back from them, edited or not", [f"vaekit decode {run} {where.path}"])


@command("vaekit decode runs/mnist latents.csv -o decoded.png", "vaekit decode runs/mnist latents.npz -o decoded/")
def decode(
    run: RunPath,
    latents: Annotated[
        Path,
        typer.Argument(metavar="LATENTS", help="A .npz, .npy or .csv file, as of vaekit embed.", show_default=False),
    ],
    pixels: Pixels = "mean",
    condition: Conditions = None,
    seed: Seed = 0,
    out: Out = None,
    force: Force = False,
) -> None:
    """Make examples of latents: those of embed, edited or not."""
    from vaekit import run as runs
    from vaekit.tasks.decode import decode as task

    loaded = runs.load(run)
    where = target(out, run / default_name(loaded.spec, "decoded"), force, forms_of(loaded.spec))
    with bar("decoding") as progress:
        made = task(
            loaded, latents, pixels=cast("PixelKind", pixels), seed=seed, condition=condition, progress=progress
        )
    write_examples(where, Examples(made.images, made.latents), loaded.spec)
    screen.tell(f"{screen.counted(len(made.images), 'example')}; {what_is_shown(loaded.spec, pixels)}")
    screen.say(f"wrote {where.path}")
