"""The reference pages, from the source: the public Python interface, the families, the command line."""

from __future__ import annotations

import re
from pathlib import Path

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption

import vaekit
from vaekit import config, recipes
from vaekit.cli.application import app

FAMILIES = {
    "likelihoods": "Likelihoods p(x | z)",
    "priors": "Priors p(z)",
    "posteriors": "Posteriors q(z | x)",
    "objectives": "Objectives",
    "nets": "Networks",
    "contexts": "Contexts",
    "data": "Data sources",
}
SHELVES = {
    "Training": ("train", "resume", "tune", "load", "Run"),
    "Measuring": ("evaluate", "compare", "doctor", "report", "cite"),
    "Using": ("generate", "reconstruct", "interpolate", "traverse", "edit", "embed", "decode"),
    "Detection": ("detect", "calibrate", "attribute"),
    "Estimators": ("VariationalAutoencoder", "AnomalyDetector", "PyODDetector"),
    "The core": ("Batch", "DataSpec", "Given", "Trace", "Bound", "Encoder", "Group", "VAE", "VaekitError"),
}


def write(folder: Path) -> None:
    """All reference pages into a folder."""
    folder.mkdir(parents=True)
    for name, make in PAGES.items():
        (folder / name).write_text(make(), encoding="utf-8")


def python() -> str:
    """The names of `vaekit`, by what they are for."""
    shelved = {name for names in SHELVES.values() for name in names}
    assert shelved == set(vaekit.__all__) - {"__version__"}, shelved ^ set(vaekit.__all__)
    parts = ["# Python\n\nAll of these are names of the package: `import vaekit`, then `vaekit.train(...)`.\n"]
    for shelf, names in SHELVES.items():
        parts.append(f"## {shelf}\n")
        parts += [f"::: {vaekit._HOMES[name]}.{name}\n    options:\n      heading_level: 3\n" for name in names]
    return "\n".join(parts)


def families() -> str:
    """What can be named in a configuration: each member's own file, its one public class."""
    assert set(FAMILIES) == set(config.FAMILIES), set(FAMILIES) ^ set(config.FAMILIES)
    parts = [
        "# Families\n\nWhat a configuration can name, by its section: `likelihood: {name: logistic, components: 5}`. "
        "Parameters after the `*` are facts that are known only when a model is built, and never stand in YAML. "
        "[To add one](../extending.md) is one file.\n"
    ]
    for family, title in FAMILIES.items():
        parts.append(f"## {title}\n")
        for name, path in members(family):
            settings = ("heading_level: 3", f"heading: {name}", f"toc_label: {name}", "members: false")
            parts.append("\n      ".join([f"::: {path}\n    options:", *settings]) + "\n")
    return "\n".join(parts)


def members(family: str) -> list[tuple[str, str]]:
    """Name and import path of each member of a family."""
    found = [(name, config.find_class(family, name)) for name in sorted(config.members(family))]
    return [(name, f"{kind.__module__}.{kind.__name__}") for name, kind in found]


def list_of_recipes() -> str:
    """Every recipe as it stands, with its comments."""
    parts = ["# Recipes\n\n`vaekit init NAME` writes one to a file of your own.\n"]
    parts += [f"## {name}\n\n```yaml\n{recipes.recipe_text(name)}```\n" for name in recipes.recipe_names()]
    return "\n".join(parts)


def commands() -> dict[str, TyperCommand]:
    """Every command by its name."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return {name: command for name, command in group.commands.items() if isinstance(command, TyperCommand)}


def options() -> dict[str, list[str]]:
    """The options of every command, as they are written."""
    return {
        name: ["--help", "-h", "--debug", *(option for parameter in command.params for option in parameter.opts)]
        for name, command in commands().items()
    }


def command_line() -> str:
    """Every command with its options, from its own help."""
    parts = ["# Command line\n\nExamples with their output are in [Commands](../commands.md).\n"]
    for name, command in commands().items():
        context = typer.Context(command, info_name=f"vaekit {name}")
        usage = command.get_usage(context).removeprefix("Usage: ")
        parts.append(f"## vaekit {name}\n\n{plain(command.help or '')}\n\n`{usage}`\n\n| option | |\n|---|---|")
        parts += [row(parameter) for parameter in command.params if isinstance(parameter, TyperOption | TyperArgument)]
        parts.append(f"\n```sh\n{examples(command)}\n```\n")
    return "\n".join(parts)


def row(parameter: TyperOption | TyperArgument) -> str:
    """A line of the table of arguments and options."""
    if isinstance(parameter, TyperArgument):
        names = f"`{parameter.metavar or parameter.name}`"
    else:
        value = f" `{parameter.metavar}`" if parameter.metavar else ""
        names = ", ".join(f"`{name}`" for name in parameter.opts) + value
    return f"| {names} | {plain(parameter.help or '').replace('|', '&#124;')} |"


def examples(command: TyperCommand) -> str:
    """The examples at the end of a command's help."""
    return "\n".join(line.strip() for line in plain(command.epilog or "").splitlines()[1:])


def plain(text: str) -> str:
    """Help without the terminal's markup."""
    return re.sub(r"\[/?(?:cyan|bold|dim|italic)\]", "", text.strip())


PAGES = {"python.md": python, "families.md": families, "recipes.md": list_of_recipes, "command-line.md": command_line}
