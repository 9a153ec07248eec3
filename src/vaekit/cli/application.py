"""The entry point: the commands together, `--version`, and `--debug` wherever it stands."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

import vaekit
from vaekit.cli import comparing, detecting, exploring, learning, making, measuring, screen, training, tuning
from vaekit.cli.base import DEBUG
from vaekit.cli.clock import process_start

START = "[bold]Start here[/bold]\n  [cyan]vaekit train digits[/cyan]\n  [cyan]vaekit report runs/digits[/cyan]"
COMMANDS = (  # in the order in which help shows them
    training.train,
    tuning.tune,
    learning.init,
    measuring.evaluate,
    detecting.detect,
    detecting.calibrate,
    making.generate,
    making.reconstruct,
    exploring.interpolate,
    exploring.traverse,
    exploring.edit,
    making.embed,
    making.decode,
    learning.report,
    comparing.compare,
    comparing.doctor,
    learning.list_,
    learning.show,
    learning.cite,
)

app = typer.Typer(
    name="vaekit",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in COMMANDS:
    command.add_to(app)


def print_version(wanted: bool) -> None:
    """`--version`."""
    if wanted:
        screen.say(f"vaekit {vaekit.__version__}")
        raise typer.Exit


@app.callback(epilog=START)
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=print_version, is_eager=True)
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help=f"Show tracebacks (also {DEBUG}=1).")] = False,
) -> None:
    """Variational autoencoders: from data to a trained, measured, usable model with one command."""
    if debug:
        os.environ[DEBUG] = "1"


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line, by default on `sys.argv`; it ends with `SystemExit`."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if "--debug" in given:
        given = ["--debug", *(argument for argument in given if argument != "--debug")]
    screen.tolerant_streams()
    if arguments is None:
        sys.path.append("")  # so that my_priors:Mine is found in the working directory, as `python -m` would find it
    app(given, prog_name="vaekit", obj=process_start() if arguments is None else None)
