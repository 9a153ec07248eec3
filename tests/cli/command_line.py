"""The command line in this process, and what a message must be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from typer.testing import CliRunner, Result

from vaekit.cli import app

Invoke = Callable[..., Result]

TINY = (
    "model.latent=3",
    "model.encoder={name: mlp, hidden: [16]}",
    "model.decoder={name: mlp, hidden: [12]}",
    "model.likelihood=logistic",
    "train.batch_size=32",
    "train.precision=float32",
    "train.device=cpu",
)


def settings(*more: str) -> list[str]:
    """`--set` for each of the tiny model's settings, and for more."""
    return [part for value in (*TINY, *more) for part in ("--set", value)]


def invoke(*arguments: str | Path) -> Result:
    """Run the command line in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def said(result: Result) -> str:
    """What reached the terminal, in one line, since messages may be broken anywhere."""
    return " ".join((result.stdout + result.stderr).split())


def refused(result: Result, *parts: str) -> None:
    """Assert that there was one clear message with these parts, exit code 2, and no traceback."""
    assert result.exit_code == 2, (result.exit_code, said(result), result.exception)
    assert "Traceback" not in said(result)
    assert result.stderr.lstrip().startswith("error:"), result.stderr
    for part in parts:
        assert part in said(result), said(result)


def trained(path: Path, data: Path, *more: str, options: Sequence[str] = (), recipe: str = "array") -> Path:
    """Train the tiny model for three epochs."""
    made = invoke(
        "train", recipe, "--data", data, "--out", path, *options, *settings("train.epochs=3", *more), "--quiet"
    )
    assert made.exit_code == 0, (said(made), made.exception)
    assert made.stdout.strip() == str(path)
    return path
