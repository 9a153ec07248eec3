"""What reaches the terminal: results on standard output; notes, errors and progress on standard error."""

from __future__ import annotations

import os
import sys
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Literal, TextIO

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

UNBOUNDED = 160  # columns where output goes to a file or a pipe


@cache
def out() -> Console:
    """The console for results."""
    return make_console(stderr=False)


@cache
def err() -> Console:
    """The console for notes, errors and progress."""
    return make_console(stderr=True)


def make_console(*, stderr: bool) -> Console:
    """As wide as the terminal, or wide enough for any table where there is none."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() or "COLUMNS" in os.environ else UNBOUNDED
    return Console(stderr=stderr, highlight=False, width=width)


def interactive() -> bool:
    """Whether somebody watches: both streams are terminals, so that a moving display harms nobody's log."""
    return sys.stdout.isatty() and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"


def tolerant_streams() -> None:
    """Signs that the terminal's encoding lacks are replaced, never an error."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")


def say(text: str = "") -> None:
    """A line of result, as it is: never wrapped, so that paths and commands can be copied."""
    out().print(text, markup=False, soft_wrap=True)


def tell(text: str) -> None:
    """A sentence of result: broken between words on a terminal, one line elsewhere."""
    console = out()
    for line in hanging(text, console) if console.is_terminal else [text]:
        console.print(line, markup=False, soft_wrap=True)


def note(text: str) -> None:
    """A remark that the user should see."""
    message(err(), "note", "yellow", text)


def error(text: str) -> None:
    """What went wrong, and what to do."""
    message(err(), "error", "bold red", text)


def message(console: Console, label: str, style: str, text: str) -> None:
    """`label: text`, with `fix:` marked; wrapped with hanging indents on a terminal, as it is elsewhere."""
    for number, line in enumerate(text.strip().splitlines()):
        head = f"{label}: " if number == 0 else ""
        wrapped = hanging(head + line, console) if console.is_terminal else [head + line]
        for row, part in enumerate(wrapped):
            shown = Text(part)
            if number == 0 and row == 0:
                shown.stylize(style, 0, len(label) + 1)
            elif part.lstrip().startswith("fix:"):
                begin = len(part) - len(part.lstrip())
                shown.stylize("bold green", begin, begin + 4)
            console.print(shown, soft_wrap=True)


def hanging(line: str, console: Console) -> list[str]:
    """A line broken between words; what follows is indented below its first words."""
    indent = len(line) - len(line.lstrip())
    further = indent + (5 if line.lstrip().startswith("fix:") else 2)
    return textwrap.wrap(
        line, console.width, subsequent_indent=" " * further, break_long_words=False, break_on_hyphens=False
    ) or [""]


@contextmanager
def warnings_as_notes() -> Iterator[None]:
    """Python's warnings are shown as short notes for the block."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        note(str(message))

    with warnings.catch_warnings():
        warnings.showwarning = show
        yield


def table(*columns: str, right: Sequence[str] = (), wide: Sequence[str] = (), title: str | None = None) -> Table:
    """A table without clutter. Columns in `right` hold numbers; only those in `wide` may wrap."""
    made = Table(box=SIMPLE_HEAD, title=title, title_justify="left", title_style="bold", pad_edge=False)
    for column in columns:
        justify: Literal["left", "right"] = "right" if column in right else "left"
        made.add_column(column, justify=justify, no_wrap=column not in wide, overflow="fold")
    return made


def names(title: str, lines: Mapping[str, str]) -> None:
    """A title, and names with a line each, in alphabetical order."""
    out().print(Text(title, style="bold"))
    made = Table.grid(padding=(0, 2, 0, 0))
    made.add_column(no_wrap=True, style="cyan")
    for name in sorted(lines):
        made.add_row(f"  {name}", Text(lines[name]))
    out().print(made)
    out().print()


def facts(pairs: Sequence[tuple[str, str]]) -> Table:
    """Names and values, one pair a line."""
    made = Table.grid(padding=(0, 2))
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs:
        made.add_row(name, Text(value))
    return made


def show(renderable: object) -> None:
    """Print a table on standard output."""
    out().print(renderable)


def commands(title: str, lines: Sequence[str]) -> None:
    """What to try next, each command on a line of its own."""
    out().print(Text(title, style="bold"))
    for line in lines:
        out().print(Text(f"  {line}", style="cyan"), soft_wrap=True)


# --- numbers ---------------------------------------------------------------------------------------------------------


def figure(mean: float, stderr: float | None = None) -> str:
    """A mean with its standard error, in the digits that the error leaves meaningful.

    >>> figure(-86.4213, 0.2174), figure(-86.4213), figure(0.19234, 0.00041)
    ('-86.42 ± 0.22', '-86.42', '0.19234 ± 0.00041')
    """
    if stderr is None or not 0 < stderr < float("inf"):
        return f"{mean:,.2f}"
    exponent = int(f"{stderr:.1e}".partition("e")[2])
    digits = max(0, 1 - exponent)
    return f"{mean:,.{digits}f} ± {stderr:,.{digits}f}"


def duration(seconds: float) -> str:
    """Seconds as a clock shows them.

    >>> duration(9.4), duration(139.6), duration(7325)
    ('0:09', '2:20', '2:02:05')
    """
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole // 60 % 60, whole % 60
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """
    >>> counted(1, "example"), counted(12000, "example")
    ('1 example', '12,000 examples')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"
