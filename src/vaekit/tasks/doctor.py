"""What is wrong with a run, in plain words, and what to change."""

from __future__ import annotations

from typing import Any

from vaekit.errors import DataError
from vaekit.run import Run, SplitName
from vaekit.tasks.checks_of_model import check_model
from vaekit.tasks.checks_of_training import check_training
from vaekit.tasks.findings import ORDER, Diagnosis, Finding
from vaekit.tasks.rows import Chosen, Progress, chosen, positive
from vaekit.tasks.signs import read_signs

LOG = (
    "how training ended",
    "steps that were skipped",
    "the warm-up of the KL",
    "over- and underfitting (the log's training and held-out bounds)",
)
DATA = (
    "data outside the likelihood's domain",
    "weights and bounds that are not finite",
    "posterior collapse and inactive dimensions",
    "saturated outputs",
    "scales of the posterior at their bounds",
    "the effective β",
)


def doctor(
    run: Run,
    data: Any = None,
    *,
    n: int = 1000,
    seed: int = 0,
    progress: Progress | None = None,
) -> Diagnosis:
    """Look at a run's log, and at its model on at most `n` held-out examples.

    Args:
        run: the trained model.
        data: instead of the run's own: a path, an array, a tensor, PIL images, or rows.
        n: examples that are looked at, evenly spaced.
        seed: of all noise.
        progress: called with the number of examples done, and of all.

    Raises `ConfigError` for `n` below 1. Data that is gone or unreadable is no error: the checks that need it are left out.
    """
    positive("n", n)
    findings = list(check_training(run))
    looked_at, left_out = [*LOG], list[str]()
    try:
        where, split = held_out(run, data, n)
        findings += check_model(run, read_signs(run, where, split, seed, progress))
        looked_at += DATA
    except DataError as error:
        left_out += [f"{check}: the data cannot be used" for check in DATA]
        findings.append(unreadable(error, data is not None))
    findings.sort(key=lambda finding: ORDER.index(finding.severity))
    return Diagnosis(tuple(findings), tuple(looked_at), tuple(left_out))


def held_out(run: Run, data: Any, n: int) -> tuple[Chosen, str]:
    """The rows to look at: data in hand; else of the validation split; else of the test split; else of the training data."""
    if data is not None:
        return chosen(run, data, n=n), ""
    splits: tuple[SplitName, ...] = ("validation", "test", "train")
    split: SplitName = next((split for split in splits if len(run.rows(split))), "train")
    return chosen(run, None, split, n=n), split


def unreadable(error: DataError, in_hand: bool) -> Finding:
    """What there is to say about data that cannot be used."""
    return Finding(
        "data-outside-domain" if in_hand else "no-data",
        "problem" if in_hand else "note",
        "The data does not fit the run."
        if in_hand
        else "The run's data cannot be opened: the model itself was not looked at.",
        str(error),
        "Give it in the shape and the units of the training data"
        if in_hand
        else "Give some data (data=..., --data PATH)",
        {},
    )


__all__ = ["Diagnosis", "Finding", "doctor"]
