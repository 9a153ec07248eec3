"""A study: the trials of a search in a storage, bound to a recipe and a space; and what came of them."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vaekit.errors import ConfigError, MissingExtraError, RunError, VaekitError
from vaekit.tasks.records import plain
from vaekit.tasks.space import Space

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

LOWER_IS_BETTER = ("bits_per_dim", "elbo_bits_per_dim", "kl_nats", "mse")
STARTUP, WARMUP = 8, 30  # trials before others are compared with; percent of a trial before it may be stopped
JOURNAL, BEST = "journal.log", "best.yaml"

Sampler = Literal["tpe", "random"]


@dataclass(frozen=True)
class TrialRecord:
    """One trial. `state` is complete, pruned, failed or running."""

    number: int
    state: str
    value: float | None  # of the metric
    params: Mapping[str, Any]
    seconds: float
    recipe: bool = False  # the recipe as it is
    error: str = ""  # why it failed


@dataclass(frozen=True)
class Tuned:
    """What a search found."""

    path: Path  # the study's directory
    name: str  # of the recipe
    metric: str
    higher_is_better: bool
    trials: tuple[TrialRecord, ...]
    best: TrialRecord
    recipe: TrialRecord | None  # the recipe's own trial, where it was completed
    config: Path  # the best configuration, which `train` takes
    run: Path | None  # the best trial's run, where this machine has it
    space: Mapping[str, str] = field(default_factory=dict)  # in words
    importances: Mapping[str, float] = field(default_factory=dict)  # of the fields, the highest first; together 1

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values: dict[str, Any] = plain(self)
        return values


def open_study(path: Path, storage: str | None, name: str, metric: str, sampler: Sampler, seed: int) -> Study:
    """The study of a directory or a storage: made, or gone on with."""
    try:
        import optuna
        from optuna.storages.journal import JournalFileBackend
    except ImportError:
        raise MissingExtraError("optuna", "tune", "vaekit tune") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        path.mkdir(parents=True, exist_ok=True)
        backend = storage or optuna.storages.JournalStorage(JournalFileBackend(str(path / JOURNAL)))
        informed = sampler == "tpe"
        tpe = optuna.samplers.TPESampler(seed=seed, n_startup_trials=STARTUP, multivariate=True)
        median = optuna.pruners.MedianPruner(STARTUP // 2, WARMUP)
        return optuna.create_study(
            study_name=name,
            storage=backend,
            load_if_exists=True,
            direction="minimize" if metric in LOWER_IS_BETTER else "maximize",
            sampler=tpe if informed else optuna.samplers.RandomSampler(seed=seed),
            pruner=median if informed and metric == "elbo_nats" else optuna.pruners.NopPruner(),
        )
    except OSError as error:
        raise RunError(f"{path}: cannot be written ({error.strerror or error}).\n  fix: another --out") from None
    except VaekitError:
        raise
    except Exception as error:
        raise ConfigError(
            f"storage {storage or path / JOURNAL}: cannot be used ({str(error).splitlines()[0]})"
        ) from None


def bind(study: Study, text: str, ranges: Space, path: Path) -> None:
    """Tie a new study to its recipe and space; raise `ConfigError` if an old one has others."""
    asked = {"recipe": text, "space": {key: str(part) for key, part in ranges.items()}}
    for key, value in asked.items():
        known = study.user_attrs.get(key)
        if known is None:
            study.set_user_attr(key, value)
        elif known != value:
            raise ConfigError(
                f"{path}: the study there has another {key}.\n  fix: another --out, or the same {key} as before"
            )


def bury(study: Study) -> None:
    """Trials of this machine whose process is gone count as failed, so that nobody waits for them."""
    from optuna.trial import TrialState

    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        host, pid = trial.user_attrs.get("host"), trial.user_attrs.get("pid")
        if host == socket.gethostname() and isinstance(pid, int) and not alive(pid):
            study.tell(trial.number, state=TrialState.FAIL, skip_if_finished=True)


def alive(pid: int) -> bool:
    """Whether a process of this machine is there."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def record_of(trial: FrozenTrial) -> TrialRecord:
    """A trial of the storage as a record."""
    names = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running", "WAITING": "waiting"}
    took = trial.duration.total_seconds() if trial.duration is not None else 0.0
    return TrialRecord(
        number=trial.number,
        state=names[trial.state.name],
        value=trial.value if trial.state.name == "COMPLETE" else None,
        params=dict(trial.params),
        seconds=took,
        recipe=bool(trial.user_attrs.get("recipe")),
        error=str(trial.user_attrs.get("error", "")),
    )


def best_of(study: Study) -> TrialRecord | None:
    """The best of the completed trials."""
    try:
        return record_of(study.best_trial)
    except ValueError:
        return None


def result(study: Study, path: Path, name: str, metric: str, ranges: Space) -> Tuned:
    """The whole study. Raises `RunError` where no trial was completed."""
    records = tuple(record_of(trial) for trial in study.get_trials(deepcopy=False))
    best = best_of(study)
    if best is None:
        errors = sorted({record.error for record in records if record.error})
        why = f": {errors[0]}" if errors else " within the time"
        raise RunError(
            f"{path}: none of {len(records)} trials was completed{why}.\n  fix: more --time, or mend the recipe"
        )
    place = path / "trials" / f"{best.number:04}"
    return Tuned(
        path=path,
        name=name,
        metric=metric,
        higher_is_better=metric not in LOWER_IS_BETTER,
        trials=records,
        best=best,
        recipe=next((one for one in records if one.recipe and one.state == "complete"), None),
        config=path / BEST,
        run=place if place.is_dir() else None,
        space={key: str(part) for key, part in ranges.items()},
        importances=importances(study),
    )


def importances(study: Study) -> dict[str, float]:
    """How much each field sets the best trials apart; empty where there are too few trials to tell.

    References: Watanabe, Bansal, Hutter (2023), PED-ANOVA: efficiently quantifying hyperparameter importance.
    """
    import optuna

    done = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE" and trial.params]
    if len(done) < STARTUP:
        return {}
    try:
        evaluator = optuna.importance.PedAnovaImportanceEvaluator()
        found = optuna.importance.get_param_importances(study, evaluator=evaluator)
    except (ValueError, RuntimeError):  # all trials are alike
        return {}
    return {str(key): float(value) for key, value in found.items()}


__all__ = ["BEST", "Sampler", "TrialRecord", "Tuned", "best_of", "bind", "bury", "open_study", "record_of", "result"]
