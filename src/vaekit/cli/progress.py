"""Progress: of training, as a moving display or as lines in a log; of other long work, as a bar."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from vaekit.cli import screen

if TYPE_CHECKING:
    from vaekit.engine.fit import Event
    from vaekit.engine.fit import Progress as Running

LINE_SECONDS = 2.0  # between lines in a log, at the least
LINE_FRACTION = 0.05  # of training between them, or
QUIET_SECONDS = 60.0  # so much time
COLUMNS = f"{'epoch':>6} {'done':>5} {'time left':>9} {'rows/s':>9} {'train':>11}  {'held-out':<19}"

Heard = Callable[[], None]


class TrainingDisplay:
    """A hook that shows training. `begin` is called once, before the first thing is shown.

    On a terminal two lines move; elsewhere there is a line an epoch, but not too many, and always the last.
    """

    def __init__(self, begin: Heard, quiet: bool = False) -> None:
        self.begin: Heard | None = begin
        self.moving = screen.interactive() and not quiet
        self.quiet = quiet
        self.live: Live | None = None
        self.now: Running | None = None
        self.record: dict[str, Any] | None = None
        self.printed_at = (-math.inf, -math.inf)  # time and fraction of the last line
        self.printed: dict[str, Any] | None = None

    def __call__(self, event: Event) -> None:
        """Take in an event of the engine."""
        from vaekit.engine.fit import EpochEnd

        if self.begin is not None:
            self.begin()
            self.begin = None
            self.start()
        if isinstance(event, EpochEnd):
            self.record = event.record
        else:
            self.now = event
        if self.live is not None:
            self.live.update(self.picture(), refresh=True)
        elif isinstance(event, EpochEnd) and self.line_due():
            self.print_line()

    @property
    def begun(self) -> bool:
        """Whether training has begun."""
        return self.begin is None

    def start(self) -> None:
        """The frame or the header."""
        if self.quiet:
            return
        if self.moving:
            self.live = Live(console=screen.err(), auto_refresh=False, transient=True)
            self.live.start()
        else:
            screen.say("ELBO in nats per example; held-out with its standard error, * where it is the best so far")
            screen.say(COLUMNS)

    def close(self, done: bool) -> None:
        """Take the display away; in a log the last epoch's line is there in any case."""
        if self.live is not None:
            self.live.stop()
        elif self.record is not None and self.record is not self.printed and not self.quiet:
            self.print_line(1.0 if done else self.fraction)

    @property
    def fraction(self) -> float:
        """The part of the planned training that is done."""
        return self.now.fraction if self.now is not None else 0.0

    # --- lines -------------------------------------------------------------------------------------------------------

    def line_due(self) -> bool:
        """Not too soon after the last line, and with enough done since."""
        if self.quiet:
            return False
        waited, gained = time.perf_counter() - self.printed_at[0], self.fraction - self.printed_at[1]
        return waited >= LINE_SECONDS and (gained >= LINE_FRACTION or waited >= QUIET_SECONDS)

    def print_line(self, fraction: float | None = None) -> None:
        """One line of the log."""
        assert self.record is not None, "no epoch has ended"
        record, fraction = self.record, self.fraction if fraction is None else fraction
        left = "0:00" if fraction == 1 else "-" if self.now is None else screen.duration(self.now.seconds_left)
        screen.say(
            f"{record['epoch']:>6} {fraction:>5.0%} {left:>9} {record['images_per_second']:>9,.0f} "
            f"{elbo(record['train']):>11}  {held_out(record):<19}".rstrip()
        )
        screen.out().file.flush()
        self.printed, self.printed_at = record, (time.perf_counter(), fraction)

    # --- the moving display ------------------------------------------------------------------------------------------

    def picture(self) -> Group:
        """Two lines: how far, and how good."""
        return Group(self.how_far(), self.how_good())

    def how_far(self) -> Table:
        """Epoch, bar, share, speed, time left."""
        epoch = self.now.epoch if self.now is not None else 1
        speed = self.now.images_per_second if self.now is not None else 0.0
        left = screen.duration(self.now.seconds_left) if self.now is not None else "?"
        made = Table.grid(padding=(0, 2), expand=False)
        made.add_row(
            Text(f"epoch {epoch}", style="bold"),
            ProgressBar(total=1.0, completed=self.fraction, width=max(10, min(40, screen.err().width - 48))),
            f"{self.fraction:.0%}",
            f"{speed:,.0f} rows/s",
            Text(f"{left} left", style="cyan"),
        )
        return made

    def how_good(self) -> Text:
        """ELBO: of the training batches, held-out, and the best so far."""
        text = Text("ELBO, nats  ", style="bold")
        running = self.now.elbo_nats if self.now is not None else math.nan
        text.append(f"train {running:,.2f}" if math.isfinite(running) else "train ...", style="not bold")
        record = self.record or {}
        if record.get("validation"):
            text.append(f"   held-out {elbo(record['validation'])}", style="not bold")
        if record.get("best_elbo_nats") is not None:
            text.append(f"   best {record['best_elbo_nats']:,.2f}", style="green not bold")
        if record.get("skipped"):
            text.append(f"   {record['skipped']} skipped", style="yellow not bold")
        return text


def elbo(terms: dict[str, Any] | None) -> str:
    """The bound of a part of a record, with its standard error where it has one."""
    if not terms or terms.get("elbo_nats") is None:
        return "-"
    stderr = terms.get("stderr")
    return f"{terms['elbo_nats']:,.2f}" if stderr is None else screen.figure(terms["elbo_nats"], stderr)


def held_out(record: dict[str, Any]) -> str:
    """The held-out bound of an epoch, marked where it is the best so far."""
    found = record.get("validation")
    if not found:
        return ""
    return elbo(found) + (" *" if found["elbo_nats"] == record.get("best_elbo_nats") else "")


@contextmanager
def bar(label: str) -> Iterator[Callable[[int, int], None]]:
    """A bar for long work, shown where somebody watches and gone afterwards; yields what the work calls: (done, total)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    hidden = not screen.err().is_terminal
    with Progress(*columns, console=screen.err(), transient=True, disable=hidden) as progress:
        task = progress.add_task(label, total=None)

        def advance(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield advance
