"""What is asked for: values of a run's context, by name, in every combination."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from vaekit.core import ContextSpec
from vaekit.data.context import LABEL
from vaekit.errors import ConfigError, near
from vaekit.metrics.noise import seed_of
from vaekit.run import Run

Asked: TypeAlias = Mapping[str, Any] | Sequence[str]  # {"label": [7, "3"]}, or ["label=7", "label=3"]
UNKNOWN = "unknown"  # a value of any entry
MOST = 10_000  # combinations
_CLASSES = 4  # a stream of noise
STEPS = 9  # of a range, where no number is given


@dataclass(frozen=True)
class Conditions:
    """G combinations of values of the context."""

    names: tuple[str, ...]  # how each combination is called: `label=7`
    context: Mapping[str, Tensor]  # (G,) or (G, size)

    def __len__(self) -> int:
        return len(self.names)

    def at(self, number: int, rows: int) -> dict[str, Tensor]:
        """One combination for that many rows."""
        return {name: values[number].expand(rows, *values.shape[1:]) for name, values in self.context.items()}


@dataclass(frozen=True)
class Value:
    """One value of one entry."""

    name: str
    number: Tensor  # () or (size,)

    def same(self, other: Value) -> bool:
        """Whether it was asked for already."""
        return torch.equal(self.number, other.number)


def conditions(run: Run, asked: Asked) -> Conditions:
    """Every combination of the values that are asked for.

    Args:
        run: the trained model.
        asked: a mapping of names to a value or a list of values, or texts `name=value`. A class is given by its name or its
            number, or `all` of them; a number as such, or as a range `20..60` or `20..60:5` (in so many steps); several
            numbers (an embedding) as a list, `0.1,0.2`, or a `.npy` file. `unknown` hides an entry, as in training.

    Raises:
        ConfigError: a run without context; an unknown entry or class, a value of another kind or size. The message lists
            what the run knows.
    """
    known = run.spec.context
    if not known:
        raise ConfigError(
            f"condition: run '{run.name}' was trained without a context, so nothing can be asked for.\n"
            "  fix: train one with it: --set data.context=[label], or a recipe such as mnist-conditional"
        )
    values: dict[str, list[Value]] = {}
    for name, value in pairs(asked, known):
        if name not in known:
            raise ConfigError(
                f"condition: unknown entry '{name}'{near(name, known)}; run '{run.name}' knows {described(run)}"
            )
        found = values.setdefault(name, [])
        found += [part for part in values_of(name, value, known[name]) if not any(part.same(other) for other in found)]
    if not values:
        raise ConfigError(f"condition: expected name=value, got nothing; run '{run.name}' knows {described(run)}")
    count = math.prod(len(several) for several in values.values())
    if count > MOST:
        raise ConfigError(
            f"condition: expected at most {MOST} combinations, got {count}.\n  fix: fewer values, or steps"
        )
    combined = list(itertools.product(*values.values()))
    return Conditions(
        names=tuple(", ".join(value.name for value in combination) for combination in combined),
        context={name: torch.stack([each[i].number for each in combined]) for i, name in enumerate(values)},
    )


def category_of(run: Run) -> str | None:
    """The entry that is drawn, or summed over, where nothing is given: the label, or the first category there is."""
    categories = [name for name, entry in run.spec.context.items() if entry.is_category]
    return LABEL if LABEL in categories else next(iter(categories), None)


def drawn_classes(run: Run, n: int, seed: int) -> dict[str, Tensor]:
    """Classes of that entry in the shares that they have in training, (n,); all other entries stay unknown."""
    name = category_of(run)
    if name is None:
        return {}
    noise = torch.Generator().manual_seed(seed_of(seed, _CLASSES, n))  # not the stream of the latents
    shares = torch.tensor(run.spec.context[name].shares)
    return {name: torch.multinomial(shares, n, replacement=True, generator=noise)}


def single(run: Run, asked: Asked | None) -> Conditions | None:
    """One combination, or none. Raises `ConfigError` for several."""
    found = None if not asked else conditions(run, asked)
    if found is not None and len(found) > 1:
        raise ConfigError(f"condition: expected one value of each entry here, got {len(found)} combinations")
    return found


def listed(given: Any, entry: ContextSpec | None) -> list[Any]:
    """What Python holds, as a list of single values: arrays and ranges too. Of an entry of several numbers, rows of them."""
    if isinstance(given, Tensor | np.ndarray | np.generic):
        given = given.tolist()
    if not isinstance(given, list | tuple | range):
        return [given]
    several = entry is not None and entry.size > 1
    return [list(given)] if several and all(isinstance(part, int | float) for part in given) else list(given)


def pairs(asked: Asked, known: Mapping[str, ContextSpec]) -> list[tuple[str, Any]]:
    """Names and single values. Raises `ConfigError` for a text that is no `name=value`."""
    if isinstance(asked, Mapping):
        return [(name, value) for name, given in asked.items() for value in listed(given, known.get(name))]
    found = []
    for text in [asked] if isinstance(asked, str) else asked:
        name, equals, value = str(text).partition("=")
        if not equals or not name.strip() or not value.strip():
            raise ConfigError(f"condition: expected name=value, such as label=7; got '{text}'")
        found.append((name.strip(), value.strip()))
    return found


def values_of(name: str, value: Any, entry: ContextSpec) -> list[Value]:
    """What one given value stands for: a class, all of them, a number, a range of them, or several at once."""
    if isinstance(value, str) and value == UNKNOWN and UNKNOWN not in entry.classes:
        return [Value(f"{name}={UNKNOWN}", entry.unknown(1)[0])]
    if entry.is_category:
        seen = [number for number, share in enumerate(entry.shares) if share > 0]
        numbers = seen if value == "all" else [class_number(name, value, entry)]
        return [Value(f"{name}={entry.classes[number]}", torch.tensor(number)) for number in numbers]
    if entry.size == 1 and isinstance(value, str) and ".." in value:
        numbers_of = ranged(name, value)
        warn_far(name, torch.tensor([max(numbers_of, key=abs)]), entry)
        return [Value(f"{name}={number:.4g}", torch.tensor([number])) for number in numbers_of]
    found = as_numbers(name, value, entry)
    shown = f"{float(found[0]):.4g}" if entry.size == 1 else str(value) if isinstance(value, str) else "given"
    return [Value(f"{name}={shown}", found)]


def class_number(name: str, value: Any, entry: ContextSpec) -> int:
    """A class by its name or, where no class is called so, by its number. Raises `ConfigError` with all classes."""
    text, classes = str(value), entry.classes
    seen = [known for known, share in zip(classes, entry.shares or [1.0] * len(classes), strict=True) if share > 0]
    if text in seen:
        return classes.index(text)
    number = int(text) if text.isdecimal() else -1
    if 0 <= number < len(classes) and not any(known.isdecimal() for known in classes):
        return number
    listed = ", ".join(seen[:20]) + (f" and {len(seen) - 20} more" if len(seen) > 20 else "")
    hint = f".\n  fix: {name}={UNKNOWN} hides it" if text == "-1" else ""
    raise ConfigError(f"{name} has no class '{value}'{near(text, seen)}; it has {listed}{hint}")


def ranged(name: str, text: str) -> list[float]:
    """`a..b` or `a..b:steps` → numbers. Raises `ConfigError`."""
    ends, _, steps = text.partition(":")
    low, _, high = ends.partition("..")
    try:
        count = int(steps) if steps else STEPS
        first, last = float(low), float(high)
        good = count >= 2 and math.isfinite(first) and math.isfinite(last)
    except ValueError:
        good = False
    if not good:
        raise ConfigError(f"{name}: expected a range such as 20..60 or 20..60:5, got '{text}'")
    return [float(number) for number in np.linspace(first, last, count)]


def as_numbers(name: str, value: Any, entry: ContextSpec) -> Tensor:
    """One value of an entry of numbers, (size,). Raises `ConfigError`."""
    try:
        if isinstance(value, str) and value.endswith(".npy"):
            value = np.load(Path(value).expanduser(), allow_pickle=False)
        elif isinstance(value, str):
            value = [float(part) for part in value.split(",")]
        numbers = torch.as_tensor(np.asarray(value, dtype=np.float32)).reshape(-1)
    except (OSError, TypeError, ValueError) as error:
        raise ConfigError(f"condition: {name}: expected {expected(entry)}, got '{value}' ({error})") from None
    if len(numbers) != entry.size or not torch.isfinite(numbers).all():
        raise ConfigError(f"condition: {name}: expected {expected(entry)}, got {numbers.tolist()[:8]}")
    warn_far(name, numbers, entry)
    return numbers


def warn_far(name: str, numbers: Tensor, entry: ContextSpec) -> None:
    """Warn of numbers that the training data is far from: the model has never seen their like."""
    low, high = torch.tensor(entry.low), torch.tensor(entry.high)
    room = 0.25 * (high - low)
    if bool(((numbers < low - room) | (numbers > high + room)).any()):
        said = f"{float(numbers[0]):.4g}" if entry.size == 1 else "a value"
        warnings.warn(f"{name}={said} is far outside of what the training data has ({expected(entry)})", stacklevel=2)


def expected(entry: ContextSpec) -> str:
    """What an entry of numbers takes, in words."""
    if entry.size > 1:
        return f"{entry.size} numbers (a,b,..., or a .npy file)"
    return f"a number (in training from {entry.low[0]:.4g} to {entry.high[0]:.4g}), or a range a..b"


def described(run: Run) -> str:
    """What a run knows, in words."""
    words = []
    for name, entry in run.spec.context.items():
        listed = ", ".join(entry.classes[:12]) + (", ..." if len(entry.classes) > 12 else "")
        words.append(f"{name} ({listed if entry.is_category else expected(entry)})")
    return "; ".join(words)


__all__ = ["Asked", "Conditions", "conditions", "described", "drawn_classes", "single"]
