"""Recipes and YAML files: finding them, reading them with line numbers, overriding single values."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from vaekit.config import RECIPES, Config, check
from vaekit.errors import ConfigError, near


@dataclass
class Raw:
    """A configuration as it was read: values, and where each stands."""

    name: str
    values: dict[str, Any]
    places: dict[str, str] = field(default_factory=dict)  # dotted path → "file:line"


def recipe_names() -> list[str]:
    """The recipes that come with the package."""
    return sorted(path.stem for path in RECIPES.glob("*.yaml"))


def recipe_text(name: str) -> str:
    """A recipe as it is written, comments and all. Raises `ConfigError` for an unknown name."""
    if name not in recipe_names():
        raise ConfigError(
            f"unknown recipe '{name}'{near(name, recipe_names())}; there are {', '.join(recipe_names())}.\n"
            "  fix: one of these, or the path of a YAML file"
        )
    return (RECIPES / f"{name}.yaml").read_text(encoding="utf-8")


def read(what: str | Path | Mapping[str, Any]) -> Raw:
    """A recipe by name, a YAML file by path, or nested values in hand. Raises `ConfigError`."""
    if isinstance(what, Mapping):
        return Raw("configuration", copy_plain(what))
    path = Path(what)
    if path.suffix in (".yaml", ".yml") or path.is_file():
        return parse(read_file(path), str(path), path.stem)
    return parse(recipe_text(str(what)), f"{what}.yaml", str(what))


def read_file(path: Path) -> str:
    """The text of a YAML file. Raises `ConfigError`."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{path}: no such file.\n  fix: a recipe name ({', '.join(recipe_names())}), or `vaekit init` to write a file"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a YAML file ({error})") from None


def parse(text: str, file: str, name: str) -> Raw:
    """YAML 1.2 text → values with their places. Raises `ConfigError` with the line of a syntax error."""
    try:
        document = YAML(typ="rt").load(io.StringIO(text))
    except YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f"{file}:{mark.line + 1}" if mark else file
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise ConfigError(f"{place}: not valid YAML: {problem}") from None
    if not isinstance(document, Mapping):
        raise ConfigError(f"{file}: expected a mapping with the sections data, model, objective, train")
    places: dict[str, str] = {}
    note_places(document, "", file, places)
    return Raw(name, copy_plain(document), places)


def note_places(node: Any, path: str, file: str, places: dict[str, str]) -> None:
    """Write down the line of every key below a node of a parsed document."""
    for key, value in node.items():
        dotted = f"{path}.{key}" if path else str(key)
        places[dotted] = f"{file}:{node.lc.key(key)[0] + 1}"
        if isinstance(value, Mapping):
            note_places(value, dotted, file, places)


def copy_plain(value: Any) -> Any:
    """Plain dicts and lists of what a YAML parser made."""
    if isinstance(value, Mapping):
        return {str(key): copy_plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [copy_plain(entry) for entry in value]
    if isinstance(value, bool) or value is None:
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    return value


def override(raw: Raw, assignments: Sequence[str]) -> None:
    """Apply `a.b=c` in order; values are read as YAML. A component named anew loses its former parameters."""
    for assignment in assignments:
        path, equals, text = assignment.partition("=")
        if not equals or not path.strip():
            raise ConfigError(f"--set {assignment}: expected key=value, such as train.lr=1e-3")
        try:
            value = copy_plain(YAML(typ="safe", pure=True).load(text))
        except YAMLError:
            raise ConfigError(f"--set {assignment}: the value is not valid YAML") from None
        put(raw, path.strip(), value)


def put(raw: Raw, path: str, value: Any) -> None:
    """Set one value at a dotted path, making sections on the way."""
    *above, key = path.split(".")
    node: dict[str, Any] = raw.values
    for part in above:
        entry = node.get(part)
        if isinstance(entry, str):  # a component by its bare name
            entry = {"name": entry}
        elif not isinstance(entry, dict):
            entry = {}
        node[part] = entry
        node = entry
    if key == "name" and node.get("name") != value:
        node.clear()
    node[key] = value
    for place in [place for place in raw.places if place == path or place.startswith(f"{path}.")]:
        del raw.places[place]
    raw.places[path] = "--set"


def resolve(what: str | Path | Mapping[str, Any] | Raw, overrides: Sequence[str] = ()) -> Config:
    """A recipe, file or mapping, with overrides → a checked `Config`. Raises `ConfigError` with every mistake."""
    raw = what if isinstance(what, Raw) else read(what)
    override(raw, overrides)
    return check(raw.values, raw.name, raw.places)


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested values by dotted path."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def to_yaml(values: Mapping[str, Any]) -> str:
    """Nested values as YAML text; lists of numbers on one line."""
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = None
    writer.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    stream = io.StringIO()
    writer.dump(copy_plain(values), stream)
    return stream.getvalue()
