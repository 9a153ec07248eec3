"""Runs side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaekit.errors import ConfigError
from vaekit.metrics import Estimate
from vaekit.run import Run, load
from vaekit.tasks.evaluate import Evaluation, kept
from vaekit.tasks.records import plain


@dataclass(frozen=True)
class Compared:
    """One run: what it cost, and what it reached."""

    name: str
    path: Path | None
    dataset: str
    parameters: int
    epochs: int
    steps: int
    seconds: float  # of training
    validation: Estimate | None  # the best held-out ELBO, nats
    evaluation: Evaluation | None  # as it was kept with the run; None: it was not evaluated, or has been trained since
    settings: Mapping[str, Any]  # those in which the runs differ, by dotted path; None where a run lacks one


@dataclass(frozen=True)
class Comparison:
    """Runs in the order they were given."""

    runs: tuple[Compared, ...]
    split: str
    remarks: tuple[str, ...]  # why figures may not be comparable

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values: dict[str, Any] = plain(self)
        return values

    def table(self) -> list[dict[str, Any]]:
        """One mapping a run, with the same keys for all: figures as `Estimate`, settings, None where there is none."""
        return [row(run) for run in self.runs]


FIGURES = (
    "elbo_nats",
    "importance_weighted_nats",
    "without_class_nats",
    "accuracy",
    "bits_per_dim",
    "kl_nats",
    "active_units",
    "psnr_db",
    "ssim",
)


def compare(runs: Sequence[Run | str | Path], split: str = "test") -> Comparison:
    """Runs (or their directories) side by side, by the evaluations that are kept with them.

    Raises:
        ConfigError: no run.
        RunError: a directory that holds none.
    """
    if not runs:
        raise ConfigError("expected at least one run to compare, got none")
    loaded = [run if isinstance(run, Run) else load(run) for run in runs]
    settings = different([flat(run.config.as_dict()) for run in loaded])
    table = tuple(compared(run, split, values) for run, values in zip(loaded, settings, strict=True))
    return Comparison(table, split, tuple(remarks(loaded, table)))


def compared(run: Run, split: str, settings: Mapping[str, Any]) -> Compared:
    """One run's row."""
    measured = kept(run.path, split) if run.path is not None else None
    return Compared(
        name=run.name,
        path=run.path,
        dataset=run.info.dataset,
        parameters=run.info.parameters,
        epochs=len(run.history),
        steps=run.info.steps,
        seconds=run.info.seconds,
        validation=best_validation(run.history),
        evaluation=measured if measured is not None and measured.steps == run.info.steps else None,
        settings=settings,
    )


def best_validation(history: Sequence[Mapping[str, Any]]) -> Estimate | None:
    """The best held-out ELBO of a log."""
    found = [line["validation"] for line in history if line.get("validation")]
    if not found:
        return None
    best = max(found, key=lambda line: line["elbo_nats"])
    stderr = best["stderr"]
    return Estimate(best["elbo_nats"], float("nan") if stderr is None else stderr, best["n"])


def remarks(runs: Sequence[Run], table: Sequence[Compared]) -> list[str]:
    """Why figures of these runs may not be comparable."""
    found = []
    if len({run.info.fingerprint for run in runs}) > 1:
        found.append("the runs were trained on different data, or on different splits of it")
    measured = [entry.evaluation for entry in table if entry.evaluation is not None]
    for name, what in (("units", "are about different things"), ("samples", "took different numbers of samples")):
        values = {getattr(evaluation, name) for evaluation in measured}
        if len(values) > 1:
            found.append(f"the evaluations {what}: {'; '.join(sorted(map(str, values)))}")
    if len({evaluation.dataset for evaluation in measured}) > 1 or len({e.n for e in measured}) > 1:
        found.append("the evaluations are on different examples")
    given = {", ".join(run.spec.context) or "nothing" for run in runs}
    if len(given) > 1:
        found.append(
            f"the bounds are given different contexts ({'; '.join(sorted(given))}): with a class given they compare with "
            "those of other models by the row without it"
        )
    missing = [str(entry.path or entry.name) for entry in table if entry.evaluation is None]
    if missing:
        found.append(f"not evaluated since the last training: {', '.join(missing)} (vaekit evaluate RUN)")
    return found


def row(run: Compared) -> dict[str, Any]:
    """A flat row of a table."""
    figures = {name: None if run.evaluation is None else getattr(run.evaluation, name) for name in FIGURES}
    return {
        "run": run.name,
        "dataset": run.dataset,
        "parameters": run.parameters,
        "epochs": run.epochs,
        "seconds": run.seconds,
        "validation_elbo_nats": run.validation,
        **figures,
        **run.settings,
    }


def different(settings: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Of each run, those settings in which not all agree."""
    keys = dict.fromkeys(key for values in settings for key in values)
    differing = [key for key in keys if any(values.get(key) != settings[0].get(key) for values in settings)]
    return [{key: values.get(key) for key in differing} for values in settings]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted path."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found
