"""Searching for a better configuration: trials that are trained, measured on held-out data, and kept in a storage."""

from __future__ import annotations

import math
import os
import shutil
import socket
import time as clock
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaekit import recipes
from vaekit import run as runs
from vaekit.engine.checkpoint import write_atomically
from vaekit.engine.fit import EpochEnd, Event
from vaekit.errors import ConfigError, RunError, near
from vaekit.metrics import Estimate
from vaekit.run import Run
from vaekit.schedules import seconds
from vaekit.tasks.evaluate import Evaluation, evaluate
from vaekit.tasks.space import Space, assignments, hidden_of, own_values, read_space, standard_space, widened
from vaekit.tasks.study import BEST, Sampler, TrialRecord, Tuned, best_of, bind, bury, open_study, record_of, result
from vaekit.tasks.train import Interrupted, train

if TYPE_CHECKING:
    from optuna import Study, Trial

SAMPLES = 64  # of the importance-weighted bound, where another figure than the ELBO is asked for
LEAST = 0.25  # of a usual trial's seconds: with less left, no other is begun

Heard = Callable[["TrialRecord", "TrialRecord | None"], None]  # a finished trial, and the best so far


@dataclass(frozen=True)
class Wanted:
    """What every trial is made of."""

    what: str | Path | Mapping[str, Any]
    data: Any
    data_dir: str | Path | None
    overrides: Sequence[str]
    metric: str
    out: Path
    deadline: float | None  # in the time of `time.perf_counter()`
    time: str | None  # of a trial, where the recipe has one


def tune(
    what: str | Path | Mapping[str, Any],
    data: Any = None,
    *,
    trials: int | None = None,
    time: str | None = None,
    space: str | Path | Mapping[str, Any] | None = None,
    storage: str | None = None,
    metric: str = "elbo_nats",
    sampler: Sampler = "tpe",
    data_dir: str | Path | None = None,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    seed: int = 0,
    heard: Heard | None = None,
    started: float | None = None,
) -> Tuned:
    """Search the configurations around a recipe. The recipe itself is the first trial: the result is never worse.

    Trials are measured on the validation split, never on test. One that falls behind the median of the others is stopped
    (where the metric is the ELBO). Whatever fails is recorded, and the search goes on. Called again with the same `out` it
    goes on with the same study, also from several processes at once.

    Args:
        what: a recipe's name, a YAML file, or a nested mapping.
        data: instead of the recipe's data, as for `train`.
        trials: at most so many in the study, those of earlier calls and other processes included.
        time: a wall-clock budget of this call, such as `20m`; it is kept. One of the two is needed.
        space: a YAML file or a mapping of fields and ranges; None: latent size, width, depth, learning rate, batch size, β
            and warm-up, as far as the recipe has them.
        storage: an URL (`sqlite:///study.db`, `postgresql://...`) in the place of the journal in `out`.
        metric: what is searched for: `elbo_nats` (of training's own validations), or any figure of an `Evaluation` of the
            validation split.
        sampler: `tpe` (a tree-structured Parzen estimator), or `random`, without stopping: for comparison.
        data_dir: as for `train`.
        overrides: as for `train`.
        out: the study's directory, by default `tuned/NAME`.
        seed: of the search; each process on one study needs its own.
        heard: called after every trial with its record and the best so far.
        started: the `time.perf_counter()` from which the budget counts.

    Raises:
        ConfigError: neither trials nor time; an unknown metric, sampler, field or range; another recipe than the study's.
        RunError: no trial was completed.

    References:
        Bergstra, Bardenet, Bengio, Kégl (2011), Algorithms for hyper-parameter optimization. Akiba et al. (2019), Optuna.
    """
    began = clock.perf_counter() if started is None else started
    if trials is None and time is None:
        raise ConfigError("expected trials, or time, or both, got neither.\n  fix: --trials 50, or --time 20m")
    if sampler not in ("tpe", "random"):
        raise ConfigError(f"sampler: expected tpe or random, got '{sampler}'")
    check_metric(metric)
    config = recipes.resolve(what, overrides) if data is None else configured(what, data, overrides)
    ranges = widened(standard_space(config) if space is None else read_space(space, config), config)
    path = Path(out) if out is not None else Path("tuned") / config.name
    study = open_study(path, storage, config.name, metric, sampler, seed)
    bind(study, recipes.to_yaml(config.as_dict()), ranges, path)
    bury(study)
    deadline = None if time is None else began + seconds(time)
    wanted = Wanted(what, data, data_dir, overrides, metric, path, deadline, config.train.time)
    if owed(study):
        own = own_values(ranges, config)
        known = set(own) == set(ranges)
        study.enqueue_trial(own if known else {}, user_attrs={"recipe": True, "known": known})
    while left(study, trials, deadline):
        one(study, ranges, wanted, hidden_of(config), heard)
    return result(study, path, config.name, metric, ranges)


def owed(study: Study) -> bool:
    """Whether the recipe's own trial has still to be made: it was never begun, or only interrupted or killed."""
    tried = [trial for trial in study.get_trials(deepcopy=False) if trial.user_attrs.get("recipe")]
    return all(trial.state.name == "FAIL" and "error" not in trial.user_attrs for trial in tried)


def configured(what: Any, data: Any, overrides: Sequence[str]) -> Any:
    """The configuration for data of one's own; only its fields are of interest here."""
    raw = recipes.read(what)
    section = raw.values.get("data")
    if isinstance(section, dict) and "path" not in section:
        section["path"] = str(data) if isinstance(data, str | Path) else None
    return recipes.resolve(raw, overrides)


def check_metric(name: str) -> None:
    """Raise `ConfigError` for a figure that an evaluation does not have."""
    known = [
        key
        for key, kind in Evaluation.__annotations__.items()
        if "Estimate" in str(kind) and "Mapping" not in str(kind)
    ]
    known += ["accuracy", "without_class_nats"]
    if name not in known:
        raise ConfigError(f"metric: unknown figure '{name}'{near(name, known)}; there are {', '.join(known)}")


def left(study: Study, trials: int | None, deadline: float | None) -> bool:
    """Whether another trial may begin."""
    records = [record_of(trial) for trial in study.get_trials(deepcopy=False)]
    if trials is not None and len([one for one in records if one.state != "waiting"]) >= trials:
        return False
    if deadline is None:
        return True
    took = sorted(one.seconds for one in records if one.state == "complete")
    usual = took[len(took) // 2] if took else 0.0
    return deadline - clock.perf_counter() > max(1.0, LEAST * usual)


# --- one trial -------------------------------------------------------------------------------------------------------


def one(study: Study, ranges: Space, wanted: Wanted, hidden: list[int], heard: Heard | None) -> None:
    """Ask for a trial, train and measure it, and tell."""
    import optuna
    from optuna.trial import TrialState

    trial = study.ask()
    trial.set_user_attr("host", socket.gethostname())
    trial.set_user_attr("pid", os.getpid())
    as_it_is = bool(trial.user_attrs.get("recipe"))
    known = not as_it_is or bool(trial.user_attrs.get("known"))  # a recipe may have what no point of the space is
    values = {key: part.suggest(trial, key) for key, part in ranges.items()} if known else {}
    place = wanted.out / "trials" / f"{trial.number:04}"
    try:
        run = trained(trial, {} if as_it_is else values, wanted, hidden, place)
        value = measured(run, wanted.metric)
        if not math.isfinite(value):
            raise RunError(f"{wanted.metric} is {value}")
    except optuna.TrialPruned:
        study.tell(trial, state=TrialState.PRUNED)
    except KeyboardInterrupt:
        study.tell(trial, state=TrialState.FAIL)
        shutil.rmtree(place, ignore_errors=True)
        raise
    except Exception as error:  # whatever goes wrong in a trial is the trial's
        trial.set_user_attr("error", f"{type(error).__name__}: {error}".splitlines()[0][:300])
        study.tell(trial, state=TrialState.FAIL)
    else:
        study.tell(trial, value)
    keep_best(study, wanted, place)
    if heard is not None:
        records = [record_of(each) for each in study.get_trials(deepcopy=False)]
        heard(records[trial.number], best_of(study))


def trained(trial: Trial, values: Mapping[str, Any], wanted: Wanted, hidden: list[int], place: Path) -> Run:
    """The run of a trial, within the time that is left. Raises `TrialPruned` where it falls behind."""
    import optuna

    overrides = [*wanted.overrides, *assignments(values, hidden)]
    if wanted.deadline is not None:
        rest = max(1.0, wanted.deadline - clock.perf_counter() - 0.5)
        overrides.append(f"train.time={min(rest, seconds(wanted.time) if wanted.time else rest):.1f}s")
    reported = -1  # the percent of the trial at which the bound was last told

    def hook(event: Event) -> None:
        nonlocal reported
        if not isinstance(event, EpochEnd) or not event.record.get("validation"):
            return
        percent = round(100 * event.fraction)
        if percent > reported:
            reported = percent
            trial.report(event.record["validation"]["elbo_nats"], percent)
            if trial.should_prune() and not trial.user_attrs.get("recipe"):  # which all others are compared with
                raise optuna.TrialPruned

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", Interrupted)  # which would say how to go on with a run that is taken away
        run = train(wanted.what, wanted.data, data_dir=wanted.data_dir, overrides=overrides, out=place, hooks=[hook])
    if run.info.reason == "interrupted":  # by the user, who means the search
        raise KeyboardInterrupt
    return run


def measured(run: Run, metric: str) -> float:
    """The figure of a run on its validation split."""
    if metric == "elbo_nats":
        found = [line["validation"]["elbo_nats"] for line in run.history if line.get("validation")]
        if not found:
            raise RunError("nothing was validated: the recipe holds out no data (data.validation)")
        return float(max(found))
    value = getattr(evaluate(run, "validation", SAMPLES), metric)
    if not isinstance(value, Estimate):
        raise RunError(f"{metric} does not exist for this data")
    return value.mean


def keep_best(study: Study, wanted: Wanted, place: Path) -> None:
    """Keep the run of the best trial alone, and write its configuration, with the recipe's own time to train."""
    best = best_of(study)
    if best is None or place.name != f"{best.number:04}":
        shutil.rmtree(place, ignore_errors=True)
        return
    raw = recipes.read(place / runs.CONFIG)
    recipes.put(raw, "train.time", wanted.time)
    head = f"# The best configuration of the search around '{study.study_name}'. `vaekit train` takes this file.\n"
    write_atomically(wanted.out / BEST, (head + recipes.to_yaml(raw.values)).encode())
    running = {f"{trial.number:04}" for trial in study.get_trials(deepcopy=False) if not trial.state.is_finished()}
    for other in place.parent.iterdir():
        if other.name not in {place.name, *running}:
            shutil.rmtree(other, ignore_errors=True)


__all__ = ["TrialRecord", "Tuned", "tune"]
