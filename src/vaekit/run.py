"""A run: a directory with a configuration, weights, a log and what is known of the data; and the model in memory.

run.json            what it is: format, versions, data, fingerprint, sizes
config.yaml         the resolved configuration; `vaekit train` takes it
log.jsonl           a line per epoch
best.safetensors    the weights to use: best on held-out data, averaged where there is an average, float32
last.safetensors    all that is needed to go on training
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import torch

import vaekit
from vaekit import recipes
from vaekit.build import build_model, build_objective
from vaekit.config import Config
from vaekit.core import ContextSpec, DataSpec, Objective
from vaekit.data.dataset import Dataset, Preparation, Rows
from vaekit.engine import checkpoint
from vaekit.engine.plan import Plan
from vaekit.engine.training import BEST, LAST, LOG
from vaekit.errors import ConfigError, DataError, RunError
from vaekit.model import VAE

INFO, CONFIG = "run.json", "config.yaml"
SplitName = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class RunInfo:
    """What a run is, apart from its weights; `run.json` holds it."""

    name: str
    dataset: str
    fingerprint: str  # of data and splits
    sizes: Mapping[str, int]  # examples per split
    spec: DataSpec
    preparation: Preparation
    parameters: int
    device: str
    precision: str
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    vaekit: str = vaekit.__version__
    torch: str = torch.__version__
    python: str = platform.python_version()
    in_memory: bool = False  # trained on arrays in hand, which cannot be opened again
    remarks: tuple[str, ...] = ()  # what the data source had to say
    reason: str = ""  # why training ended; empty: it did not
    steps: int = 0
    seconds: float = 0.0
    skipped: int = 0

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"preparation": self.preparation.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> RunInfo:
        """The inverse of `as_dict`."""
        known = {entry.name for entry in fields(cls)}
        kept = {name: value for name, value in values.items() if name in known}
        spec = tuples(values["spec"])
        spec["context"] = {name: ContextSpec(**tuples(entry)) for name, entry in spec.get("context", {}).items()}
        kept |= {"spec": DataSpec(**spec), "preparation": Preparation.from_dict(values["preparation"])}
        return cls(**{**kept, "remarks": tuple(values.get("remarks", ()))})


def tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values as records hold them: JSON's lists become tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}


@dataclass
class Run:
    """A trained model and all that belongs to it. Every task takes one."""

    model: VAE  # in eval mode, float32, without gradients
    objective: Objective
    config: Config
    info: RunInfo
    history: list[dict[str, Any]]
    path: Path | None = None
    dataset: Dataset | None = None  # opened when it is first needed

    @property
    def name(self) -> str:
        """How the run is called in tables and reports."""
        return self.info.name

    @property
    def spec(self) -> DataSpec:
        """What the data is."""
        return self.info.spec

    @property
    def preparation(self) -> Preparation:
        """How data is brought into shape, the same way by every task."""
        return self.info.preparation

    @property
    def plan(self) -> Plan:
        """How it was trained."""
        return self.config.train

    @property
    def latent_shapes(self) -> dict[str, tuple[int, ...]]:
        """Group name → the shape of one latent."""
        return dict.fromkeys(self.model.groups, self.config.model.latent)

    def data(self) -> Dataset:
        """The data it was trained on, opened again. Raises `DataError` if it is gone or is other data now."""
        if self.dataset is None:
            self.dataset = open_data(self.config, self.info)
        return self.dataset

    def rows(self, split: SplitName = "test") -> Rows:
        """One split of that data."""
        if split not in ("train", "validation", "test"):
            raise ConfigError(f"split: expected train, validation or test; got '{split}'")
        rows: Rows = getattr(self.data(), split)
        return rows


def open_data(config: Config, info: RunInfo) -> Dataset:
    """The data of a run, checked against its fingerprint."""
    if info.in_memory:
        raise DataError(
            f"run '{info.name}' was trained on arrays in memory, which cannot be opened again.\n"
            "  fix: pass the data (--data PATH, or data=... from Python)"
        )
    dataset: Dataset = config.data.build().load()
    if dataset.fingerprint != info.fingerprint:
        raise DataError(
            f"the data of run '{info.name}' is not what it was trained on: '{info.dataset}' had the fingerprint "
            f"{info.fingerprint[:12]}, '{dataset.name}' now has {dataset.fingerprint[:12]}.\n"
            "  fix: restore the data, or name other data with --data PATH"
        )
    return dataset


def load(path: str | Path) -> Run:
    """Load a run from its directory, ready for every task.

    Raises:
        RunError: no such directory, no run, incomplete, of a newer version, or tampered with.
    """
    path = Path(path)
    info, config = read_info(path), read_config(path)
    weights = path / BEST
    if not weights.exists():
        raise RunError(
            f"{path}: training has not saved any weights yet; the run is incomplete.\n"
            f"  fix: go on with vaekit train --resume {path}"
        )
    model = build_model(config, info.spec)
    checkpoint.load_weights(model, checkpoint.load(weights)[0], weights)
    model.eval().requires_grad_(False)
    return Run(model, build_objective(config), config, info, read_log(path), path)


def read_info(path: Path) -> RunInfo:
    """`run.json` of a directory. Raises `RunError`."""
    values = read_json(path)
    schema = values.get("schema")
    checkpoint.check_schema(schema if isinstance(schema, int) else 0, path / INFO)
    if config_digest(path) not in values.get("config_digests", ()):
        raise RunError(
            f"{path / CONFIG}: missing, or altered after training began; the weights belong to another configuration.\n"
            "  fix: restore the file, or train anew from the altered one: vaekit train PATH/config.yaml"
        )
    try:
        return RunInfo.from_dict(values)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{path / INFO}: incomplete or altered ({error})") from None


def read_json(path: Path) -> dict[str, Any]:
    """The plain values of `run.json`. Raises `RunError`."""
    if not path.is_dir():
        raise RunError(f"{path}: no such run directory{near_runs(path)}")
    try:
        values = json.loads((path / INFO).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RunError(f"{path}: not a run directory (it has no {INFO}){near_runs(path)}") from None
    except (OSError, ValueError) as error:
        raise RunError(f"{path / INFO}: cannot be read ({error}); the file is torn or was altered") from None
    if not isinstance(values, dict):
        raise RunError(f"{path / INFO}: expected a JSON object")
    return values


def near_runs(path: Path) -> str:
    """The runs beside or in a path, for a message."""
    places = [path, path.parent, Path("runs")]
    found = sorted({str(info.parent) for place in places if place.is_dir() for info in place.glob(f"*/{INFO}")})
    return f".\n  runs found: {', '.join(found[:8])}" if found else ""


def read_config(path: Path) -> Config:
    """The resolved configuration of a run."""
    raw = recipes.read(path / CONFIG)
    name = read_json(path)["name"]
    raw.name = str(name)
    return recipes.resolve(raw)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of the log; a torn last line is left out."""
    lines = []
    try:
        text = (path / LOG).read_text(encoding="utf-8")
    except FileNotFoundError:
        return []
    for line in text.splitlines():
        try:
            lines.append(json.loads(line))
        except ValueError:
            break
    return lines


def config_digest(path: Path) -> str:
    """SHA-256 of the configuration file; empty if there is none."""
    try:
        return hashlib.sha256((path / CONFIG).read_bytes()).hexdigest()
    except OSError:
        return ""


def config_text(config: Config) -> bytes:
    """The resolved configuration as it is written."""
    head = f"# The resolved configuration of the run '{config.name}'. `vaekit train` takes this file.\n"
    return (head + recipes.to_yaml(config.as_dict())).encode()


def write_run(path: Path, config: Config, info: RunInfo) -> None:
    """Write configuration and facts, bound to each other.

    The facts come first and name both the configuration that is there and the one that follows: whatever is cut off in
    between, the run can be read.
    """
    text = config_text(config)
    write_info(path, info, {config_digest(path), hashlib.sha256(text).hexdigest()})
    checkpoint.write_atomically(path / CONFIG, text)
    write_info(path, info)


def write_info(path: Path, info: RunInfo, digests: set[str] | None = None) -> None:
    """Write `run.json`, bound to the configuration that stands beside it, or to those with the given digests."""
    bound = sorted((digests or {config_digest(path)}) - {""})
    values = {"schema": checkpoint.SCHEMA, "config_digests": bound} | info.as_dict()
    checkpoint.write_atomically(path / INFO, json.dumps(values, indent=1).encode())


__all__ = ["BEST", "CONFIG", "INFO", "LAST", "LOG", "Run", "RunInfo", "load"]
