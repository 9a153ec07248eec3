"""What every command has: an example in its help, and errors that a person can read."""

from __future__ import annotations

import functools
import inspect
import os
import shlex
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from vaekit.cli import screen
from vaekit.errors import VaekitError

TRAIN, USE, LEARN = "Train", "Use a run", "Look and learn"
DEBUG = "VAEKIT_DEBUG"


@dataclass(frozen=True)
class Command:
    """A function whose signature and docstring are a command's options and help; the help ends with the examples."""

    function: Callable[..., None]
    examples: tuple[str, ...]
    name: str | None
    panel: str

    def add_to(self, app: typer.Typer) -> None:
        """Make it a command of an application."""
        shown = "\n".join(f"  [cyan]{example}[/cyan]" for example in self.examples)
        label = "Example" if len(self.examples) == 1 else "Examples"
        paragraphs = inspect.cleandoc(self.function.__doc__ or "").split("\n\n")
        app.command(
            self.name,
            help="\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs),
            epilog=f"[bold]{label}[/bold]\n{shown}",
            rich_help_panel=self.panel,
        )(guarded(self.function))


def command(*examples: str, name: str | None = None, panel: str = USE) -> Callable[[Callable[..., None]], Command]:
    """Make a function a `Command`."""
    return lambda function: Command(function, examples, name, panel)


def guarded(function: Callable[..., None]) -> Callable[..., None]:
    """The command, with warnings as notes and every error as one clear message and an exit code."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> None:
        try:
            with screen.warnings_as_notes():
                function(*args, **kwargs)
        except (typer.Exit, BrokenPipeError):
            raise
        except KeyboardInterrupt:
            screen.message(screen.err(), "stopped", "bold yellow", "interrupted; nothing was left half written")
            raise typer.Exit(130) from None
        except Exception as error:
            raise typer.Exit(explain(error)) from None

    return run


def explain(error: Exception) -> int:
    """Say what went wrong; returns the exit code: 2 for what the user can mend, 1 for our own mistakes."""
    if os.environ.get(DEBUG):
        traceback.print_exception(error)
    if isinstance(error, VaekitError):
        screen.error("\n".join([str(error), *getattr(error, "__notes__", [])]))
        return 2
    if isinstance(error, OSError) and error.strerror:
        named = f"{error.filename}: " if error.filename else ""
        screen.error(f"{named}{error.strerror.lower()}\n  fix: another path (-o, --out), or more space or rights there")
        return 2
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "allocate memory" in str(error):
        screen.error("out of memory\n  fix: fewer examples at a time (--limit, -n, --samples), or another device")
        return 2
    place = traceback.extract_tb(error.__traceback__)[-1]
    screen.error(
        f"something went wrong that should not: {type(error).__name__}: {error}\n"
        f"  in {Path(place.filename).name}, line {place.lineno}. This is most likely a mistake in vaekit. Please report it\n"
        f"  with all that this prints: {DEBUG}=1 vaekit {shlex.join(sys.argv[1:])}"
    )
    return 1
