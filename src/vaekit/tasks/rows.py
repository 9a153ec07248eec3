"""Which rows a task is about, and where it runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaekit.data import Rows, read
from vaekit.data.context import unknown_in
from vaekit.engine.runtime import Runtime
from vaekit.errors import ConfigError, DataError
from vaekit.metrics.prepare import Chunk, chunks, evenly
from vaekit.run import Run, SplitName

Progress = Callable[[int, int], None]  # done, of all


@dataclass(frozen=True)
class Chosen:
    """Rows on the device of the model, which of them, and what they are called."""

    rows: Rows
    order: Tensor  # row numbers, (n,)
    name: str  # of the data set; a part of it never has the name of the whole

    @property
    def device(self) -> torch.device:
        """Where the context of the rows lies."""
        return next((values.device for values in self.rows.context.values()), torch.device("cpu"))

    def ids(self, numbers: Sequence[int]) -> list[str]:
        """The ids of some rows."""
        return [self.rows.ids[number] for number in numbers]

    def labels_of(self, numbers: Sequence[int]) -> Tensor | None:
        """The class numbers of some rows, (m,)."""
        return None if self.rows.labels is None else self.rows.labels.cpu()[torch.tensor(numbers, dtype=torch.long)]


def chosen(
    run: Run,
    data: Any = None,
    split: SplitName = "test",
    *,
    n: int | None = None,
    indices: Sequence[int] | None = None,
) -> Chosen:
    """The rows of a split of the run's data, or of data in hand: all, `n` evenly spaced ones, or those named.

    Raises:
        ConfigError: `n` below 1, or indices that are out of range.
        DataError: no rows; data that does not fit; the run's data cannot be opened.
    """
    rows = run.rows(split) if data is None else read(data, run.preparation, run.spec)
    if data is not None:
        warn_unknown(run, rows)
    name = run.data().name if data is None else name_of(data)
    total = len(rows)
    if not total:
        where = f"the {split} split of '{name}'" if data is None else "the data"
        raise DataError(f"{where} has no rows.\n  fix: another split, or pass data")
    if n is not None:
        positive("n", n)
    if indices is not None:
        order = torch.tensor(in_range(indices, total), dtype=torch.long)
    else:
        order = torch.arange(total) if n is None or n >= total else evenly(total, n)
    whole = len(order) == total and indices is None
    name = name if whole else f"{name} ({len(order)} of {total})"
    return Chosen(rows.to(device_for(run)), order, name)


def warn_unknown(run: Run, rows: Rows) -> None:
    """Warn of entries of the context that data in hand does not have, or has in a form that the run does not know."""
    for name, values in rows.context.items():
        missing = int(unknown_in(values).sum())
        if missing:
            entry = run.spec.context[name]
            knows = f"; the run knows {', '.join(entry.classes[:12])}" if entry.is_category else ""
            warnings.warn(
                f"{name} is unknown in {missing} of {len(rows)} examples, and hidden from the model there{knows}",
                stacklevel=3,
            )


def walk(run: Run, where: Chosen, seed: int, progress: Progress | None = None) -> Iterator[Chunk]:
    """The chosen rows, prepared, as many at once as memory allows. Raises `DataError` if none can be read."""
    done = 0
    for chunk in chunks(run.model, where.rows, seed, where.order):
        yield chunk
        done += len(chunk)
        if progress is not None:
            progress(done, len(where.order))
    if not done:
        raise DataError(f"none of the {len(where.order)} rows could be read.\n  fix: check the files")


def name_of(data: Any) -> str:
    """What data in hand is called."""
    return Path(data).name if isinstance(data, str | Path) else "data in hand"


def device_for(run: Run) -> torch.device:
    """Where the run's model is to work; it is brought there. The device it was trained on need not be here."""
    try:
        device = Runtime.choose(run.plan.device).device
    except ConfigError:
        device = Runtime.choose().device
    run.model.to(device)
    return device


def positive(name: str, value: object) -> None:
    """Raise `ConfigError` unless `value` is a whole number above zero."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ConfigError(f"{name}: expected a whole number above 0, got {value!r}")


def in_range(indices: Sequence[int], total: int) -> list[int]:
    """Row numbers, counted from the end where negative. Raises `ConfigError`."""
    numbers = [int(index) for index in indices]
    wrong = [number for number in numbers if not -total <= number < total]
    if wrong or not numbers:
        raise ConfigError(f"expected row numbers from 0 to {total - 1}, got {wrong or 'none'}")
    return [number % total for number in numbers]


__all__ = ["Chosen", "Progress", "chosen", "device_for", "evenly", "in_range", "name_of", "positive", "walk"]
