"""From data to a trained model: make, resume or extend a run."""

from __future__ import annotations

import time as clock
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from vaekit import recipes
from vaekit import run as runs
from vaekit.build import build_model, build_objective, mean_of
from vaekit.config import Config, find_class, members
from vaekit.data import Source, detect, from_arrays
from vaekit.data.dataset import Dataset
from vaekit.data.folder import existing
from vaekit.data.frame import frame_in_hand, is_frame
from vaekit.data.stored import LABELS, VALUES
from vaekit.data.table import Table
from vaekit.engine import checkpoint
from vaekit.engine.fit import Fitted, Hook, fit
from vaekit.engine.optim import build_optimizer
from vaekit.engine.runtime import Runtime
from vaekit.errors import ConfigError, DataError, RunError
from vaekit.model import VAE
from vaekit.run import Run, RunInfo
from vaekit.schedules import seconds
from vaekit.tasks.lock import alone

# What may change when a run is resumed: how long and how often, never the mathematics.
EXTENDABLE = ("epochs", "steps", "time", "patience", "checkpoint", "validate_every", "max_skipped", "device")
ENDED = ("finished", "time", "patience")


class Interrupted(UserWarning):
    """Training was stopped by the user before its time."""


def train(
    what: str | Path | Mapping[str, Any],
    data: Any = None,
    *,
    data_dir: str | Path | None = None,
    overrides: Sequence[str] = (),
    out: str | Path | None = None,
    init_from: str | Path | Run | None = None,
    hooks: Sequence[Hook] = (),
    started: float | None = None,
) -> Run:
    """Train a model and keep it as a run.

    Args:
        what: a recipe's name (`digits`), the path of a YAML file, or a nested mapping of the same form.
        data: instead of the recipe's data: a path (a folder of images, `.npy`, `.npz`, `.csv`, `.parquet`), or an array,
            tensor, DataFrame or list of PIL images in hand, `(n, ...)`, or a pair `(x, labels)`, or a mapping of `x`,
            `labels` and other columns.
        data_dir: where named data sets lie, instead of the environment variable `VAEKIT_DATA`.
        overrides: `a.b=c` each, as `--set` on the command line.
        out: the run's directory; by default `runs/NAME`, numbered if that is taken. It is never overwritten.
        init_from: a run, or its directory, whose weights training starts from (fine-tuning).
        hooks: called with the engine's events; they only observe.
        started: the `time.perf_counter()` from which a wall-clock budget counts.

    Raises:
        ConfigError, DataError, RunError, TrainingError: as their docstrings say.
    """
    started = clock.perf_counter() if started is None else started
    if out is not None:
        check_free(Path(out))
    config, dataset = open_for(what, data, data_dir, overrides)
    model = build_model(config, dataset.spec, mean_of(dataset.train))
    build_optimizer(config.train, model.parameters(), torch.device("cpu"))  # refuses now what it would refuse later
    if init_from is not None:
        start_from(model, init_from)
    info = describe(config, dataset, model)
    path = new_directory(out, config.name)
    with alone(path):
        runs.write_run(path, config, info)
        return carry_out(config, dataset, model, info, path, hooks=hooks, started=started)


def resume(
    path: str | Path,
    data: Any = None,
    *,
    what: str | Path | Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    time: str | None = None,
    hooks: Sequence[Hook] = (),
    started: float | None = None,
) -> Run:
    """Go on with a run from its last checkpoint, to the bit; longer than planned where `overrides` or `time` say so.

    `time` is counted from now, whatever number of epochs. `data` is for runs on arrays in hand: the same arrays again.
    Raises `RunError` if another configuration or other data is asked for, if there is nothing left to do, or if another
    process is training in that directory.
    """
    path = Path(path)
    started = clock.perf_counter() if started is None else started
    info, before = runs.read_info(path), runs.read_config(path)
    record = last_record(path)
    longer = (
        ["train.epochs=null", "train.steps=null", f"train.time={record['seconds'] + seconds(time):.0f}s"]
        if time
        else []
    )
    config = extended(before, what, [*longer, *overrides], path)
    if (info.reason in ENDED or config != before) and (limits := used_up(config, record, before, info)):
        raise nothing_left(path, record, limits)
    dataset = again(before, info, data)
    model = build_model(config, dataset.spec)
    with alone(path):
        runs.write_run(path, config, replace(info, reason=""))
        return carry_out(config, dataset, model, info, path, hooks=hooks, started=started, going_on=True)


def last_record(path: Path) -> dict[str, Any]:
    """Where training stands, by the last checkpoint. Raises `RunError` if there is none."""
    if not (path / runs.LAST).exists():
        raise RunError(
            f"{path}: training stopped before anything was saved; there is nothing to go on with.\n"
            f"  fix: begin anew with its configuration: vaekit train {path / runs.CONFIG} --out ANOTHER"
        )
    return checkpoint.load(path / runs.LAST)[1]


def used_up(config: Config, record: Mapping[str, Any], before: Config, info: RunInfo) -> dict[str, str]:
    """The limits of the plan that training has reached: key of the plan → a value that lets it go on."""
    found, plan = {}, config.train
    timed = info.reason == "time" and plan.time == before.train.time
    if plan.epochs is not None and record["epoch"] >= plan.epochs:
        found["epochs"] = str(2 * record["epoch"])
    if plan.steps is not None and record["step"] >= plan.steps:
        found["steps"] = str(2 * record["step"])
    if plan.budget is not None and (timed or record["seconds"] >= plan.budget):
        found["time"] = f"{2 * max(plan.budget, record['seconds']):.0f}s"
    if plan.patience and record["stale"] >= plan.patience:
        found["patience"] = "0"
    return found


def nothing_left(path: Path, record: Mapping[str, Any], limits: Mapping[str, str]) -> RunError:
    """All that stands in the way of going on, and what would let it."""
    settings = " ".join(f"--set train.{key}={value}" for key, value in limits.items())
    patience = " --set train.patience=0" if "patience" in limits else ""
    return RunError(
        f"{path}: training has ended already (epoch {record['epoch']}): train.{', train.'.join(limits)} used up.\n"
        f"  fix: to train longer: vaekit train --resume {path} --time 10m{patience}, or {settings}"
    )


def again(config: Config, info: RunInfo, data: Any) -> Dataset:
    """The data of a run, opened again, or handed over again. Raises `DataError` if it is other data."""
    if data is None:
        return runs.open_data(config, info)
    dataset = in_memory(config, data) if info.in_memory else None
    if dataset is None or dataset.fingerprint != info.fingerprint:
        raise DataError(
            f"run '{info.name}' goes on with the data it was trained on; what is given is other data.\n"
            "  fix: "
            + ("give the same arrays, in the same order" if info.in_memory else "leave data out: it is read anew")
        )
    return dataset


def in_memory(config: Config, data: Any) -> Dataset:
    """The dataset of arrays in hand, by the `data` section of a configuration."""
    settings = {key: value for key, value in config.data.params.items() if key != "path"}
    x, labels, columns = taken_apart(data)
    if config.data.name == "table":
        return Table(path=None, **settings).divide(frame_in_hand(x, labels, columns, "memory"), "memory")
    return from_arrays(x, labels, columns=columns, name="memory", **settings)


def taken_apart(data: Any) -> tuple[Any, Any, dict[str, Any]]:
    """Arrays in hand: the examples, their labels, and further columns. Raises `DataError` for a mapping without examples."""
    if not isinstance(data, Mapping):
        return (*data, {}) if isinstance(data, tuple) else (data, None, {})
    values = next((name for name in VALUES if name in data), None)
    if values is None:
        raise DataError(f"expected one of the keys {', '.join(VALUES)} in the data, got {', '.join(data) or 'none'}")
    labels = next((name for name in LABELS if name in data), None)
    columns = {name: column for name, column in data.items() if name not in (values, labels)}
    return data[values], None if labels is None else data[labels], columns


def carry_out(
    config: Config,
    dataset: Dataset,
    model: VAE,
    info: RunInfo,
    path: Path,
    *,
    hooks: Sequence[Hook],
    started: float,
    going_on: bool = False,
) -> Run:
    """Fit, and write down how it ended."""
    objective = build_objective(config)
    fitted = fit(model, objective, dataset, config.train, directory=path, hooks=hooks, resume=going_on, started=started)
    info = ended(info, fitted)
    runs.write_info(path, info)
    if fitted.reason == "interrupted":
        warnings.warn(
            f"training was interrupted: the run holds what was learned so far; vaekit.resume('{path}') goes on with it",
            Interrupted,
            stacklevel=3,
        )
    return Run(fitted.model, objective, config, info, fitted.history, path, dataset)


def ended(info: RunInfo, fitted: Fitted) -> RunInfo:
    """The run's facts after training."""
    return replace(
        info, reason=fitted.reason, steps=fitted.steps, seconds=round(fitted.seconds, 2), skipped=fitted.skipped
    )


def open_for(
    what: str | Path | Mapping[str, Any], data: Any, data_dir: str | Path | None, overrides: Sequence[str]
) -> tuple[Config, Dataset]:
    """The configuration and the data that were asked for."""
    raw = recipes.read(what)
    written = raw.values.get("data")
    in_hand = data is not None and not isinstance(data, str | Path)
    if isinstance(data, str | Path):
        source, params = source_of(Path(data), written)
        params["path"] = str(Path(params["path"]).expanduser().absolute())  # it is opened again from anywhere
        raw.values["data"] = {**kept(written, source), "name": source, **params}
        raw.places["data"] = "--data"
    elif in_hand:
        source = "table" if named(written) == "table" or is_frame(taken_apart(data)[0]) else "array"
        raw.values["data"] = {**kept(written, source), "name": source, "path": None}
    if data_dir is not None and in_hand:
        warnings.warn("data_dir is ignored: the data is in hand", stacklevel=3)
    elif data_dir is not None:
        recipes.put(raw, "data.data_dir", str(Path(data_dir).expanduser().absolute()))
    config = with_whole_paths(recipes.resolve(raw, overrides))
    if not in_hand:
        return config, config.data.build().load()
    return config, in_memory(config, data)


def with_whole_paths(config: Config) -> Config:
    """The configuration with the data's paths made absolute: a run is used from anywhere."""
    params = dict(config.data.params)
    for key in ("path", "attributes"):
        if isinstance(params.get(key), str):
            params[key] = str(Path(params[key]).expanduser().absolute())
    return replace(config, data=replace(config.data, params=params))


def source_of(path: Path, written: Any) -> tuple[str, dict[str, Any]]:
    """The source for a path, and its arguments: the recipe's own where that reads such a file, else what the path shows."""
    name = named(written)
    kind = find_class("data", name) if name in members("data") else None
    if kind is not None and issubclass(kind, Source) and existing(path.expanduser()).suffix.lower() in kind.suffixes:
        return name, {"path": str(path)}
    return detect(path)


def named(written: Any) -> str:
    """The source that a recipe names, in either form; empty where it names none."""
    return str(written.get("name", "") if isinstance(written, dict) else written or "")


def kept(written: Any, source: str) -> dict[str, Any]:
    """What a recipe says of its data that also holds for other data: all of it for the same source, else the context."""
    settings = written if isinstance(written, dict) else {}
    return settings if named(written) == source else {k: v for k, v in settings.items() if k == "context"}


def describe(config: Config, dataset: Dataset, model: VAE) -> RunInfo:
    """What is known of a run before training."""
    runtime = Runtime.choose(config.train.device, config.train.precision)
    return RunInfo(
        name=config.name,
        dataset=dataset.name,
        fingerprint=dataset.fingerprint,
        sizes={"train": len(dataset.train), "validation": len(dataset.validation), "test": len(dataset.test)},
        spec=dataset.spec,
        preparation=dataset.preparation,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        device=str(runtime.device),
        precision=runtime.precision,
        in_memory=config.data.params.get("path", "") is None,
        remarks=tuple(dataset.remarks),
    )


def start_from(model: VAE, source: str | Path | Run) -> None:
    """Copy the weights of another run. Raises `RunError` if the models differ."""
    other = source if isinstance(source, Run) else runs.load(source)
    weights = other.model.state_dict()
    checkpoint.load_weights(model, weights, other.path or Path(other.name))


def extended(before: Config, what: Any, overrides: Sequence[str], path: Path) -> Config:
    """The stored configuration with what may change changed. Raises `RunError` for anything else."""
    raw = recipes.read(what) if what is not None else recipes.read(before.as_dict())
    raw.name = before.name
    if what is not None:  # its data may have come from --data
        asked = raw.values.get("data")
        asked = {"name": asked} if isinstance(asked, str) else asked
        same = before.data.as_dict() if not isinstance(asked, dict) or asked.get("name") == before.data.name else {}
        raw.values["data"] = {**same, **(asked if isinstance(asked, dict) else {})}
    config = recipes.resolve(raw, overrides)
    changed = [
        key for key, value in recipes.flat(config.as_dict()).items() if recipes.flat(before.as_dict()).get(key) != value
    ]
    changed += [key for key in recipes.flat(before.as_dict()) if key not in recipes.flat(config.as_dict())]
    forbidden = [key for key in changed if key not in {f"train.{name}" for name in EXTENDABLE}]
    if forbidden:
        lines = [f"  {key}: the run has {shown(before, key)}, asked for {shown(config, key)}" for key in forbidden]
        raise RunError(
            f"{path}: --resume goes on with the same configuration; these keys differ:\n"
            + "\n".join(lines)
            + f"\n  fix: leave them as they are, or begin a new run from these weights: --init-from {path}"
        )
    return config


def shown(config: Config, key: str) -> str:
    """A value for a message."""
    return repr(recipes.flat(config.as_dict()).get(key))


def new_directory(out: str | Path | None, name: str) -> Path:
    """Make the run's directory. Raises `RunError` if it holds something, or cannot be made."""
    path = Path(out) if out is not None else numbered(Path("runs") / name)
    check_free(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(
            f"{path}: the run's directory cannot be made ({error.strerror}).\n  fix: another --out"
        ) from None
    return path


def check_free(path: Path) -> None:
    """Raise `RunError` if something stands where a run is to go; an empty folder is nothing."""
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise RunError(
            f"{path}: exists already and is not overwritten.\n"
            f"  fix: another --out, or go on with it: vaekit train --resume {path}"
        )


def numbered(path: Path) -> Path:
    """`path`, or the first of path-2, path-3, ... that is not there yet."""
    number, candidate = 1, path
    while candidate.exists():
        number += 1
        candidate = path.with_name(f"{path.name}-{number}")
    return candidate


__all__ = ["ConfigError", "resume", "train"]
