"""Progress on a terminal and in a log."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console

from vaekit.cli import progress, screen
from vaekit.cli.progress import TrainingDisplay
from vaekit.engine.fit import EpochEnd, Progress


def running(epoch: int, fraction: float) -> Progress:
    return Progress(
        epoch=epoch, step=9 * epoch, fraction=fraction, images_per_second=61234.0, seconds_left=75.0, elbo_nats=-99.5
    )


def ended(epoch: int, validated: bool = True, best: float | None = -101.25) -> EpochEnd:
    found = {"elbo_nats": -101.25, "stderr": 0.417, "log_likelihood_nats": -80.0, "kl_nats": 21.25, "n": 50}
    record: dict[str, Any] = {
        "epoch": epoch,
        "step": 9 * epoch,
        "images_per_second": 60000.0,
        "train": {"elbo_nats": -100.0},
        "validation": found if validated else None,
        "best_elbo_nats": best,
        "skipped": 0,
    }
    return EpochEnd(record, fraction=epoch / 100)


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(progress, "time", made)
    return made


def epochs_printed(text: str) -> list[int]:
    return [int(line.split()[0]) for line in text.splitlines() if line.split() and line.split()[0].isdigit()]


def test_lines_are_few_and_the_last_is_there(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    begun: list[bool] = []
    display = TrainingDisplay(lambda: begun.append(True))
    for epoch in range(1, 1001):
        clock.now += 0.3
        display(running(epoch, epoch / 1000))
        display(ended(epoch))
    display.close(done=True)
    printed = epochs_printed(capsys.readouterr().out)
    assert begun == [True]
    assert printed[0] == 1 and printed[-1] == 1000
    assert len(printed) <= 22


def test_slow_epochs_have_a_line_each_minute(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = TrainingDisplay(lambda: None)
    for epoch in range(1, 11):
        clock.now += 61
        display(ended(epoch))
    display.close(done=True)
    assert epochs_printed(capsys.readouterr().out) == list(range(1, 11))


def test_a_line_says_how_good(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = TrainingDisplay(lambda: None)
    display(running(1, 0.25))
    display(ended(1))
    display.close(done=False)
    out = capsys.readouterr().out
    assert "25%" in out and "1:15" in out and "60,000" in out and "-100.00" in out and "-101.25 ± 0.42 *" in out
    assert max(len(line) for line in out.splitlines()[1:]) <= 80


def test_without_validation(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = TrainingDisplay(lambda: None)
    display(ended(1, validated=False, best=None))
    assert "-100.00" in capsys.readouterr().out


def test_quiet_prints_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    display = TrainingDisplay(lambda: None, quiet=True)
    display(ended(1))
    display.close(done=True)
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("width", [72, 80, 120])
def test_moving_display_fits(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    monkeypatch.setattr(screen, "err", lambda: console)
    display = TrainingDisplay(lambda: None)
    display.now, display.record = running(1234, 0.456), ended(1233).record
    console.print(display.picture())
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert len(lines) == 2
    assert "epoch 1234" in lines[0] and "46%" in lines[0]
    assert "train -99.50" in lines[1] and "best -101.25" in lines[1]


def test_bar_is_silent_where_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.bar("working") as advance:
        advance(1, 3)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("width", [40, 80])
def test_messages_hang(width: int) -> None:
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    text = "runs/digits: something is wrong with it and needs many words\n  fix: " + "words and more words " * 5
    screen.message(console, "error", "red", text)
    lines = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
    assert max(map(len, lines)) <= width
    assert lines[0].startswith("error: ") and any(line.startswith("  fix: ") for line in lines)


def test_paths_are_never_broken() -> None:
    console = Console(file=io.StringIO(), width=30, force_terminal=True, color_system=None)
    screen.message(console, "go on", "bold", "vaekit train --resume " + "long/" * 20 + "run")
    assert "long/" * 20 + "run" in console.file.getvalue()  # type: ignore[attr-defined]
