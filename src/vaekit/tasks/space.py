"""What a search looks through: fields of a configuration and their ranges, and how values become a configuration."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaekit import recipes
from vaekit.config import Config
from vaekit.errors import ConfigError, near

if TYPE_CHECKING:
    from optuna import Trial

KINDS = ("int", "float", "choice")
SHAPES = ("width", "depth")  # of the networks: no single field has them


@dataclass(frozen=True)
class Range:
    """Where one value is looked for: between two numbers, evenly or by their logarithms, or among some choices."""

    kind: str
    low: float = 0
    high: float = 0
    log: bool = False
    choices: tuple[Any, ...] = ()

    def __str__(self) -> str:
        if self.kind == "choice":
            return " | ".join(map(str, self.choices))
        return f"{self.low:g} to {self.high:g}{', by logarithms' if self.log else ''}"

    def suggest(self, trial: Trial, name: str) -> Any:
        """A value of a trial."""
        if self.kind == "choice":
            return trial.suggest_categorical(name, self.choices)
        if self.kind == "int":
            return trial.suggest_int(name, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(name, self.low, self.high, log=self.log)

    def with_value(self, value: Any) -> Range:
        """The same, wide enough for a value."""
        if self.kind == "choice":
            known = value in self.choices
            return self if known else Range("choice", choices=(value, *self.choices))
        return Range(self.kind, min(self.low, value), max(self.high, value), self.log and value > 0)


Space = Mapping[str, Range]


def read_space(source: str | Path | Mapping[str, Any], config: Config) -> Space:
    """A space from a YAML file or a mapping: `train.lr: {float: [1e-4, 1e-2], log: true}`.

    Keys are fields of the configuration by their dotted paths, or `width` and `depth` of its networks. Raises `ConfigError`
    with every mistake.
    """
    where = "space" if isinstance(source, Mapping) else str(source)
    if not isinstance(source, Mapping) and not Path(source).is_file():
        raise ConfigError(
            f"{source}: no such file.\n  fix: a YAML file of fields and ranges, train.lr: {{float: [1e-4, 1e-2]}}"
        )
    values = dict(source) if isinstance(source, Mapping) else recipes.read(source).values
    known, found, wrong = fields_of(config), {}, []
    for key, written in values.items():
        if key not in known:
            wrong.append(f"{key}: unknown field{near(key, known)}; the configuration has {', '.join(known)}")
        elif isinstance(problem := range_of(written), str):
            wrong.append(f"{key}: {problem}")
        else:
            found[key] = problem
    if wrong or not found:
        raise ConfigError(f"{where}: " + ("\n  ".join(wrong) or "expected at least one field to search, got none"))
    return found


def range_of(written: Any) -> Range | str:
    """A range as it is written, or what is wrong with it."""
    kinds = [kind for kind in KINDS if isinstance(written, Mapping) and kind in written]
    if len(kinds) != 1 or set(written) - {*kinds, "log"}:
        return f"expected one of {{int: [low, high]}}, {{float: [low, high]}}, {{choice: [...]}}, with log: true, got {written}"
    kind, values, log = kinds[0], written[kinds[0]], bool(written.get("log", False))
    if not isinstance(values, list) or not values:
        return f"expected a list, got {values!r}"
    if kind == "choice":
        return Range("choice", choices=tuple(values))
    number = (int,) if kind == "int" else (int, float)
    if len(values) != 2 or not all(isinstance(value, number) and not isinstance(value, bool) for value in values):
        return (
            f"expected two {'whole numbers' if kind == 'int' else 'numbers'}, the lowest and the highest, got {values}"
        )
    low, high = values
    if low >= high or (log and low <= 0):
        return f"expected a range{' above 0' if log else ''}, the lowest value first, got {values}"
    return Range(kind, low, high, log)


def standard_space(config: Config) -> Space:
    """What is worth searching for most models: latent size, networks, learning rate, batch, weight and warm-up of the KL."""
    space = {
        "train.lr": Range("float", 3e-4, 1e-2, log=True),
        "train.batch_size": Range("choice", choices=(32, 64, 128, 256)),
    }
    if len(config.model.latent) == 1:
        space["model.latent"] = Range("int", 2, 64, log=True)
    if hidden_of(config):
        space |= {"width": Range("int", 32, 1024, log=True), "depth": Range("int", 1, 3)}
    if config.objective.name == "elbo":
        space |= {
            "objective.beta": Range("float", 0.5, 2.0, log=True),
            "objective.warmup": Range("choice", choices=(0, 500)),
        }
    likelihood = config.model.likelihood.params
    if "sigma" in likelihood and likelihood.get("scale") == "fixed":
        space["model.likelihood.sigma"] = Range("float", 0.05, 1.0, log=True)
    return widened(space, config)


def widened(space: Space, config: Config) -> dict[str, Range]:
    """The space with the configuration's own values in it, where it has them."""
    own = own_values(space, config)
    return {key: part.with_value(own[key]) if key in own else part for key, part in space.items()}


def own_values(space: Space, config: Config) -> dict[str, Any]:
    """The configuration's own values of the space's fields; those that it does not have as one value are left out."""
    known, hidden = fields_of(config), hidden_of(config)
    values = {key: known[key] for key in space if key not in SHAPES and known.get(key) is not None}
    if hidden and len(set(hidden)) == 1:
        values |= {key: value for key, value in (("width", hidden[0]), ("depth", len(hidden))) if key in space}
    return values


def hidden_of(config: Config) -> list[int]:
    """The widths of both networks where these are alike multilayer perceptrons, else nothing."""
    encoder, decoder = config.model.encoder, config.model.decoder
    if encoder.name != "mlp" or decoder.name != "mlp":
        return []
    widths = list(encoder.params["hidden"])
    return widths if list(decoder.params["hidden"]) == widths[::-1] else []


def fields_of(config: Config) -> dict[str, Any]:
    """All fields of a configuration by their dotted paths, and `width` and `depth` where it has them."""
    found = recipes.flat(config.as_dict())
    return found | (dict.fromkeys(SHAPES) if hidden_of(config) else {})


def assignments(values: Mapping[str, Any], hidden: list[int]) -> list[str]:
    """The values of a trial as overrides, `train.lr=0.001`; `hidden` are the widths that the configuration has.

    >>> assignments({"model.latent": 3, "width": 64, "depth": 2}, [128])
    ['model.latent=3', 'model.encoder.hidden=[64, 64]', 'model.decoder.hidden=[64, 64]']
    """
    found = [f"{key}={json.dumps(value)}" for key, value in values.items() if key not in SHAPES]
    if any(key in values for key in SHAPES):
        depth = int(values.get("depth", len(hidden)))
        width = values.get("width")
        widths = [int(width)] * depth if width is not None else (hidden + hidden[-1:] * depth)[:depth]
        found += [f"model.encoder.hidden={widths}", f"model.decoder.hidden={widths[::-1]}"]
    return found
