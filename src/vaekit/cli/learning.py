"""`vaekit list`, `show`, `init`, `cite`, `report`: what there is, what a run is, where it comes from."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from vaekit.cli import screen
from vaekit.cli.base import LEARN, TRAIN, command
from vaekit.cli.files import check_free, write_new
from vaekit.cli.options import Data, Force, RunPath, option
from vaekit.cli.progress import bar
from vaekit.cli.training import recipes_like
from vaekit.errors import ConfigError, near

OTHERS = {"recipes": "complete configurations to begin with", "train": "the keys of the section `train`",
          "optimizers": "names for train.optimizer"}  # fmt: skip


@command("vaekit init mnist -o mine.yaml", "vaekit train mine.yaml", panel=TRAIN)
def init(
    recipe: Annotated[
        str, typer.Argument(metavar="RECIPE", help="A recipe's name.", show_default=False, autocompletion=recipes_like)
    ],
    output: Annotated[
        str | None,
        option("FILE", "Default: RECIPE.yaml; - prints it.", "-o", "--out"),
    ] = None,
    force: Force = False,
) -> None:
    """Write a recipe with its comments, as YAML to edit."""
    from vaekit import recipes

    text = recipes.recipe_text(recipe)
    if output == "-":
        sys.stdout.write(text)
        return
    path = Path(output or f"{recipe}.yaml")
    write_new(path, text, force)
    screen.say(f"wrote {path}")
    screen.commands("next: edit it, then", [f"vaekit train {path}"])


@command("vaekit list", "vaekit list nets", "vaekit list recipes", name="list", panel=LEARN)
def list_(
    family: Annotated[
        str | None,
        typer.Argument(
            metavar="FAMILY",
            help="recipes, data, nets, posteriors, priors, likelihoods, objectives, train or optimizers.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """List what there is; of a family, all parameters."""
    from vaekit.config import FAMILIES

    known = ["recipes", *FAMILIES, "train", "optimizers"]
    if family is None:
        overview(list(FAMILIES))
        return
    chosen = {name.rstrip("s"): name for name in known}.get(family.rstrip("s"))
    if chosen is None:
        raise ConfigError(f"unknown family '{family}'{near(family, known)}; there are {', '.join(known)}")
    if chosen == "recipes":
        list_recipes()
    elif chosen == "optimizers":
        list_optimizers()
    elif chosen == "train":
        list_plan()
    else:
        list_family(chosen)


def overview(families: list[str]) -> None:
    """Everything by name, a line each."""
    from vaekit.cli.catalogue import FAMILY_LINES, member_line
    from vaekit.config import members

    list_recipes()
    for family in families:
        lines = {name: member_line(family, name, module) for name, module in members(family).items()}
        screen.names(f"{family}: {FAMILY_LINES[family]}", lines)
    screen.say("parameters: vaekit list FAMILY; also: vaekit list train, vaekit list optimizers")


def list_recipes() -> None:
    """Recipes with their first comments."""
    from vaekit.cli.catalogue import recipe_line
    from vaekit.config import RECIPES

    lines = {path.stem: recipe_line(path) for path in RECIPES.glob("*.yaml")}
    screen.names(f"recipes: {OTHERS['recipes']}", lines)


def list_family(family: str) -> None:
    """Members with what they are, and every parameter."""
    from vaekit.cli.catalogue import FAMILY_LINES, first_paragraph, member_line
    from vaekit.config import find_class, members

    screen.show(Text(f"{family}: {FAMILY_LINES[family]}", style="bold"))
    for name, module in sorted(members(family).items()):
        kind, line = find_class(family, name), member_line(family, name, module)
        screen.say()
        screen.show(Text.assemble((name, "bold cyan"), "  ", line))
        if line != (more := first_paragraph(kind.__doc__ or "")):
            screen.show(Text(more))
        list_parameters(kind)
    screen.say()
    screen.say("or a class of your own by its import path, name: my_module:MyClass")


def list_parameters(kind: type) -> None:
    """A table of what YAML may set."""
    from vaekit.cli.catalogue import parameters

    found = parameters(kind)
    if not found:
        screen.say("  no parameters")
        return
    meanings = any(entry.meaning for entry in found)
    columns = ["parameter", "values", "default", *(["meaning"] if meanings else [])]
    made = screen.table(*columns, wide=["values", "default", "meaning"])
    for entry in found:
        cells = [entry.name, entry.values, entry.default, *([entry.meaning] if meanings else [])]
        made.add_row(*(Text(cell) for cell in cells))
    screen.show(made)


def list_plan() -> None:
    """The `train` section."""
    from vaekit.engine.plan import Plan

    screen.show(Text(f"train: {OTHERS['train']}", style="bold"))
    for paragraph in (Plan.__doc__ or "").strip().split("\n\n"):
        screen.show(Text(" ".join(paragraph.split())))
    list_parameters(Plan)


def list_optimizers() -> None:
    """Every optimizer by its name in torch."""
    from vaekit.engine.optim import optimizers

    screen.show(Text(f"optimizers: {OTHERS['optimizers']}", style="bold"))
    screen.show(Text(", ".join(sorted(optimizers()))))


@command("vaekit show runs/digits", "vaekit show runs/digits --config", panel=LEARN)
def show(
    run: RunPath,
    config: Annotated[bool, typer.Option("--config", help="Print the resolved configuration as YAML.")] = False,
) -> None:
    """Say what a run is: data, model, training, files."""
    from vaekit import run as runs
    from vaekit.cli import summary

    info, resolved = runs.read_info(run), runs.read_config(run)
    if config:
        sys.stdout.write((run / runs.CONFIG).read_text(encoding="utf-8"))
        return
    screen.show(screen.facts(summary.described(run, info, resolved, runs.read_log(run))))
    for remark in info.remarks:
        screen.note(remark)


@command("vaekit cite runs/mnist", "vaekit cite runs/mnist -o methods.bib", panel=LEARN)
def cite(
    run: RunPath,
    output: Annotated[
        str | None,
        option("FILE", "Default: standard output.", "-o", "--out"),
    ] = None,
    force: Force = False,
) -> None:
    """Print BibTeX of the methods that a run uses."""
    from vaekit import run as runs
    from vaekit.tasks.cite import cite as task

    if output is not None:
        check_free(Path(output), force)
    text = task(runs.load(run))
    if output is None:
        sys.stdout.write(text)
        return
    write_new(Path(output), text, force)
    screen.say(f"wrote {output}")


@command("vaekit report runs/mnist", "vaekit report runs/photos --data new-photos/ -o new.html", panel=LEARN)
def report(
    run: RunPath,
    data: Data = None,
    output: Annotated[
        str | None,
        option("FILE", "Default: report.html in the run's directory.", "-o", "--out"),
    ] = None,
    force: Force = False,
) -> None:
    """Write one HTML file that shows and explains a run.

    Curves, reconstructions, samples, the latent space, all figures with errors; no network is needed to read it.
    """
    from vaekit import run as runs
    from vaekit.report import report as task

    if output is not None:
        check_free(Path(output), force)
    loaded = runs.load(run)
    with bar("reporting") as progress:
        written = task(loaded, output, data=data, progress=progress)
    screen.say(str(written))
