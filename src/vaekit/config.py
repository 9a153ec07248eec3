"""YAML to checked components: a configuration is read and checked whole (`resolve`), then built (`build.py`).

The folder of a family is its registry, and a constructor's signature is the schema of its section: positional parameters come
from YAML (ranges through `Annotated`), keyword-only ones are runtime facts. So nothing is declared twice. All mistakes are
reported at once, each with its place in the file and near names.
"""

from __future__ import annotations

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Annotated, Any, get_type_hints

from annotated_types import Gt, MinLen
from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from vaekit.engine.plan import Plan
from vaekit.errors import ConfigError, near

RECIPES = Path(__file__).parent / "configs"
# Family → the method that makes a class of its folder a member (and not a helper of members).
FAMILIES = {
    "data": "load",
    "nets": "forward",
    "posteriors": "forward",
    "priors": "forward",
    "likelihoods": "forward",
    "contexts": "forward",
    "objectives": "__call__",
}
PARTS = {
    "encoder": "nets",
    "decoder": "nets",
    "posterior": "posteriors",
    "prior": "priors",
    "likelihood": "likelihoods",
    "context": "contexts",
}
STANDARD = {"posterior": "gaussian", "prior": "standard", "context": "embedding"}  # where a model says nothing of them
SECTIONS = ("data", "model", "objective", "train")


@dataclass(frozen=True)
class Component:
    """A member of a family by name, with its parameters, defaults filled in."""

    family: str
    name: str
    params: Mapping[str, Any]

    @property
    def kind(self) -> type:
        """Its class."""
        return find_class(self.family, self.name)

    def build(self, **runtime: Any) -> Any:
        """The object. Runtime facts that the constructor does not name are left out."""
        known = inspect.signature(self.kind).parameters
        return self.kind(**self.params, **{name: value for name, value in runtime.items() if name in known})

    def as_dict(self) -> dict[str, Any]:
        """As it stands in YAML."""
        return {"name": self.name, **self.params}


@dataclass(frozen=True)
class ModelConfig:
    """The `model` section. `latent` is a number of dimensions, or the shape of a map `[channels, height, width]`."""

    latent: tuple[int, ...]
    encoder: Component
    decoder: Component
    posterior: Component
    prior: Component
    likelihood: Component
    context: Component  # of no consequence for data without a context


@dataclass(frozen=True)
class Config:
    """A checked configuration: every section complete, defaults filled in."""

    name: str
    data: Component
    model: ModelConfig
    objective: Component
    train: Plan

    def as_dict(self) -> dict[str, Any]:
        """Plain nested values, as in YAML; `resolve` takes it back."""
        model = {part: getattr(self.model, part).as_dict() for part in PARTS}
        latent = self.model.latent
        plan = {field.name: getattr(self.train, field.name) for field in fields(Plan)}
        return {
            "data": self.data.as_dict(),
            "model": {"latent": latent[0] if len(latent) == 1 else list(latent), **model},
            "objective": self.objective.as_dict(),
            "train": plan,
        }


# --- the families ----------------------------------------------------------------------------------------------------


@cache
def members(family: str) -> dict[str, str]:
    """Name → module of every member of a family: files with a class of the file's name and the family's method.

    The files are read, not imported: listing a family loads nothing.
    """
    folder = Path(__file__).parent / family
    found = {}
    for module in pkgutil.iter_modules([str(folder)]):
        path = f"vaekit.{family}.{module.name}"
        text = (folder / f"{module.name}.py").read_text(encoding="utf-8")
        if re.search(rf"^class {camel(module.name)}\b", text, re.M) and f"    def {FAMILIES[family]}(" in text:
            found[module.name.replace("_", "-") if family == "data" else module.name] = path
    return found


def camel(name: str) -> str:
    """
    >>> camel("fashion_mnist")
    'FashionMnist'
    """
    return "".join(part.capitalize() for part in name.replace("-", "_").split("_"))


def find_class(family: str, name: str) -> type:
    """The class of a member, or of anyone's by its import path `my_lab.priors:Mine`. Raises `ConfigError`."""
    if ":" in name:
        return import_class(name)
    known = members(family)
    if name not in known:
        raise ConfigError(
            f"unknown name '{name}'{near(name, known)}; {family} has {', '.join(sorted(known))}, "
            "or give the import path of your own class: my_module:MyClass"
        )
    found: type = getattr(importlib.import_module(known[name]), camel(name))
    return found


def import_class(path: str) -> type:
    """`package.module:Class` → the class. Raises `ConfigError`."""
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except Exception as error:  # a module that is not ours may raise anything
        why = f"{type(error).__name__}: {error}"
        raise ConfigError(
            f"'{path}' cannot be imported ({why}); is the module in this folder, or on PYTHONPATH?"
        ) from None
    if not inspect.isclass(found):
        raise ConfigError(f"'{path}' is not a class")
    return found


@cache
def schema(kind: type) -> type[BaseModel]:
    """A strict pydantic model of a constructor's YAML parameters."""
    hints = get_type_hints(inspect.getattr_static(kind, "__init__"), include_extras=True)
    declared: dict[str, Any] = {}
    for parameter in list(inspect.signature(kind).parameters.values()):
        if parameter.kind is not parameter.POSITIONAL_OR_KEYWORD:
            continue
        default = ... if parameter.default is parameter.empty else parameter.default
        declared[parameter.name] = (hints.get(parameter.name, Any), default)
    config = ConfigDict(extra="forbid", strict=True, arbitrary_types_allowed=True, protected_namespaces=())
    return create_model(kind.__name__, __config__=config, **declared)


class Latent(BaseModel):
    """The `latent` entry, for its checks."""

    latent: Annotated[int, Gt(0)] | Annotated[tuple[Annotated[int, Gt(0)], ...], MinLen(1)]


# --- checking --------------------------------------------------------------------------------------------------------


class Checker:
    """Collects every mistake of a configuration, so that all are reported at once."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self.places = places  # dotted path → "file:line", or where an override came from
        self.mistakes: list[str] = []

    def wrong(self, path: str, message: str) -> None:
        """Note a mistake at a dotted path."""
        place = next((self.places[p] for p in parents(path) if p in self.places), "")
        self.mistakes.append(f"{place + ': ' if place else ''}{path}: {message}")

    def raise_if_any(self, name: str) -> None:
        """Raise `ConfigError` with all mistakes."""
        if self.mistakes:
            count = "1 mistake" if len(self.mistakes) == 1 else f"{len(self.mistakes)} mistakes"
            raise ConfigError(f"{name}: {count} in the configuration\n" + "\n".join(f"  {m}" for m in self.mistakes))

    def component(self, path: str, family: str, given: Any) -> Component | None:
        """A member of a family from `name` or `{name: ..., parameter: ...}`."""
        if given is None:
            self.wrong(path, "is required here")
            return None
        if isinstance(given, str):
            given = {"name": given}
        if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
            self.wrong(path, f"expected a name, or a mapping with a 'name' and parameters; got {shown(given)}")
            return None
        try:
            kind = find_class(family, given["name"])
        except ConfigError as error:
            self.wrong(f"{path}.name", str(error))
            return None
        params = {name: value for name, value in given.items() if name != "name"}
        checked = self.values(path, schema(kind), params)
        return None if checked is None else Component(family, given["name"], checked)

    def values(self, path: str, model: type[BaseModel], given: Mapping[str, Any]) -> dict[str, Any] | None:
        """Parameters checked against a schema, defaults filled in; None if anything is wrong."""
        try:
            checked = model.model_validate_json(json.dumps(given, default=str), strict=True)
        except ValidationError as error:
            known = list(model.model_fields)
            for issue in error.errors(include_url=False):
                where = ".".join([path, *(str(part) for part in issue["loc"] if str(part) in given or part in known)])
                self.wrong(where, explain(issue, known))
            return None
        return {name: plain(getattr(checked, name)) for name in model.model_fields}


def explain(issue: Any, known: Sequence[str]) -> str:
    """One pydantic error in words: what was expected, what came, near names."""
    name = str(issue["loc"][0]) if issue["loc"] else ""
    if issue["type"] == "extra_forbidden":
        return f"unknown key{near(name, known)}; known here: {', '.join(known) or 'none'}"
    if issue["type"] == "missing":
        return f"'{name}' is required here" + (": or give --data PATH" if name == "path" else "")
    if issue["type"] in ("tuple_type", "list_type"):
        return f"expected a list, such as [{issue['input']}]; got {shown(issue['input'])}"
    message = issue["msg"].removeprefix("Value error, ")
    return f"{message[0].lower()}{message[1:]}; got {shown(issue['input'])}"


def shown(value: Any) -> str:
    """A value as a message shows it."""
    text = repr(value)
    return text if len(text) < 80 else text[:77] + "..."


def plain(value: Any) -> Any:
    """Tuples and paths as YAML and JSON hold them."""
    if isinstance(value, tuple | list):
        return [plain(entry) for entry in value]
    if isinstance(value, Path):
        return str(value)
    return {name: plain(entry) for name, entry in value.items()} if isinstance(value, Mapping) else value


def parents(path: str) -> list[str]:
    """A dotted path and all that stand above it, longest first."""
    parts = path.split(".")
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)]


def check(raw: Mapping[str, Any], name: str, places: Mapping[str, str] | None = None) -> Config:
    """A raw nested mapping → a `Config`. Raises `ConfigError` with every mistake in it."""
    checker = Checker(places or {})
    for section in raw:
        if section not in SECTIONS:
            checker.wrong(section, f"unknown section{near(section, SECTIONS)}; known: {', '.join(SECTIONS)}")
    data = checker.component("data", "data", raw.get("data"))
    model = check_model(checker, raw.get("model"))
    objective = checker.component("objective", "objectives", raw.get("objective", "elbo"))
    plan = check_plan(checker, raw.get("train") or {})
    checker.raise_if_any(name)
    assert data is not None and model is not None and objective is not None and plan is not None
    return Config(name, data, model, objective, plan)


def check_model(checker: Checker, given: Any) -> ModelConfig | None:
    """The `model` section."""
    if not isinstance(given, Mapping):
        checker.wrong("model", f"expected a mapping with latent, encoder, decoder, likelihood; got {shown(given)}")
        return None
    for key in given:
        if key not in ("latent", *PARTS):
            checker.wrong(
                f"model.{key}", f"unknown key{near(key, ('latent', *PARTS))}; known: latent, {', '.join(PARTS)}"
            )
    latent = checker.values("model", Latent, {k: v for k, v in given.items() if k == "latent" and v is not None})
    parts = {part: checker.component(f"model.{part}", family, chosen(part, given)) for part, family in PARTS.items()}
    if latent is None or any(component is None for component in parts.values()):
        return None
    shape = latent["latent"]
    return ModelConfig(latent=tuple(shape) if isinstance(shape, list) else (shape,), **parts)  # type: ignore[arg-type]


def chosen(part: str, given: Mapping[str, Any]) -> Any:
    """What is written for a part of the model, or the standard one; parameters alone are the standard one's."""
    written = given.get(part, STANDARD.get(part))
    if isinstance(written, Mapping) and "name" not in written and part in STANDARD:
        return {"name": STANDARD[part], **written}
    return written


def check_plan(checker: Checker, given: Any) -> Plan | None:
    """The `train` section."""
    if not isinstance(given, Mapping):
        checker.wrong("train", f"expected a mapping, got {shown(given)}")
        return None
    checked = checker.values("train", schema(Plan), given)
    if checked is None:
        return None
    if all(checked[limit] is None for limit in ("epochs", "steps", "time")):
        checker.wrong("train", "expected epochs, steps or time, or several of them; got none")
    return Plan(**checked)
