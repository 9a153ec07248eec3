"""What there is: recipes, families, their members and parameters, read from the files and signatures that define them."""

from __future__ import annotations

import ast
import inspect
import re
import types
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from annotated_types import Ge, Gt, Le, Lt

FAMILY_LINES = {
    "data": "where data comes from",
    "nets": "networks, for encoder and decoder",
    "posteriors": "q(z | x): what the encoder's output means",
    "priors": "p(z)",
    "likelihoods": "p(x | z): what the decoder's output means",
    "contexts": "how labels and other conditions enter",
    "objectives": "what is optimized",
}
BASIC = {int: "whole number", float: "number", str: "text", bool: "true | false", type(None): "null", Any: "anything"}


@dataclass(frozen=True)
class Parameter:
    """One entry that YAML may set."""

    name: str
    values: str
    default: str
    meaning: str


def recipe_line(path: Path) -> str:
    """A recipe in one line: its first comment."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.lstrip("# ").strip()


def member_line(family: str, name: str, module: str) -> str:
    """A member of a family in one line, read from its file without importing it.

    It is the first line of its module; of a source of data its class says more.
    """
    from vaekit.config import camel

    root = Path(__file__).parents[2]
    tree = ast.parse((root / Path(*module.split("."))).with_suffix(".py").read_text(encoding="utf-8"))
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    return first_paragraph(ast.get_docstring(classes[camel(name)] if family == "data" else tree) or "")


def first_paragraph(docstring: str) -> str:
    """
    >>> first_paragraph("Where x is,  and why.")
    'Where x is, and why.'
    """
    return " ".join(inspect.cleandoc(docstring).partition("\n\n")[0].split())


def parameters(kind: type) -> list[Parameter]:
    """What YAML may set of a class: name, values, default, meaning."""
    hints = get_type_hints(vars(kind)["__init__"], include_extras=True)
    meanings = meanings_of(kind)
    return [
        Parameter(
            entry.name,
            in_words(hints.get(entry.name, Any)),
            default_of(entry),
            meanings.get(entry.name, ""),
        )
        for entry in inspect.signature(kind).parameters.values()
        if entry.kind is entry.POSITIONAL_OR_KEYWORD
    ]


def default_of(entry: inspect.Parameter) -> str:
    """A default as YAML spells it."""
    if entry.default is entry.empty:
        return "required"
    made_anew = repr(entry.default) == "<factory>"  # of a dataclass: all of ours are empty mappings
    return "{}" if made_anew else yaml_value(entry.default)


def meanings_of(kind: type) -> dict[str, str]:
    """Parameter → what the docstring's `Args` say of it."""
    text = inspect.cleandoc(kind.__doc__ or "")
    section = re.search(r"^(?:Args|Arguments):\n((?:    .*\n?|\n)+)", text, re.M)
    found: dict[str, str] = {}
    for entry in re.finditer(r"^    ([\w, ]+): (.*(?:\n {5,}.*)*)", section[1] if section else "", re.M):
        for name in entry[1].split(","):
            found[name.strip()] = " ".join(entry[2].split())
    return found


def in_words(hint: Any) -> str:
    """A type and its range as a person would say it.

    >>> in_words(Annotated[int, Gt(0)]), in_words(tuple[int, ...] | None)
    ('whole number > 0', 'list of whole numbers, or null')
    """
    origin, inner = get_origin(hint), get_args(hint)
    if origin is Annotated:
        return in_words(inner[0]) + bounds(inner[1:])
    if origin is Literal:
        return " | ".join(yaml_value(value) for value in inner)
    if origin in (Union, types.UnionType):
        return either(inner)
    if origin is tuple:
        return f"list of {plural(in_words(inner[0]))}"
    if isinstance(origin, type) and "Mapping" in origin.__name__:
        return "mapping"
    return BASIC.get(hint, getattr(hint, "__name__", str(hint)))


def either(kinds: Sequence[Any]) -> str:
    """Alternatives, null last."""
    words = [in_words(kind) for kind in kinds if kind is not type(None)]
    return ", or ".join([*words, "null"] if type(None) in kinds else words)


def plural(words: str) -> str:
    """
    >>> plural("whole number > 0")
    'whole numbers > 0'
    """
    return re.sub(r"^((?:whole )?number)", r"\1s", words)


def bounds(metadata: Sequence[Any]) -> str:
    """Limits of a number."""
    signs = {Gt: (">", "gt"), Ge: ("≥", "ge"), Lt: ("<", "lt"), Le: ("≤", "le")}
    parts = []
    for entry in metadata:
        if type(entry) in signs:
            sign, name = signs[type(entry)]
            parts.append(f"{sign} {getattr(entry, name):g}")
    return f" {', '.join(parts)}" if parts else ""


def yaml_value(value: Any) -> str:
    """A value as YAML spells it.

    >>> yaml_value(None), yaml_value(True), yaml_value((32, 64)), yaml_value(0.002)
    ('null', 'true', '[32, 64]', '0.002')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, tuple | list):
        return f"[{', '.join(yaml_value(entry) for entry in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)
