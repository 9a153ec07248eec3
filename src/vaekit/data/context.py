"""The context of a set: which of its columns condition the model, and what is known of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekit.core import ContextSpec
from vaekit.data.labels import MOST_CLASSES, read_labels
from vaekit.errors import DataError, near

LABEL = "label"  # the entry that every labelled set has


@dataclass(frozen=True)
class Column:
    """One column that may condition: class numbers `(n,)` with the names of the classes, or numbers `(n, size)`."""

    values: Tensor
    classes: tuple[str, ...] = ()


def read_column(name: str, values: Any, n: int, where: str, known: ContextSpec | None = None) -> Column:
    """A column in whatever form it comes: text, booleans and whole numbers are classes, floats are numbers.

    With `known` (of the training data) classes are looked up there, and what is not among them is unknown.
    Raises `DataError` for another number of rows, too many classes, infinite numbers, or another kind than `known`.
    """
    column = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    where = f"{where}[{name}]"
    if known is not None and known.is_category != (column.dtype.kind != "f"):
        kinds = ("numbers (floats)", f"classes ({', '.join(known.classes[:8])})")
        raise DataError(f"{where}: expected {kinds[known.is_category]}, as in training, got {column.dtype} values")
    if column.dtype.kind != "f":
        codes, classes = read_labels(column, n, () if known is None else known.classes, where)
        if not classes:
            raise DataError(
                f"{where}: expected at most {MOST_CLASSES} classes, got the number {int(codes.max())}.\n"
                "  fix: numbers that are no classes are given as floats"
            )
        return Column(codes.masked_fill(codes >= len(classes), -1), classes)
    if column.ndim not in (1, 2) or len(column) != n:
        raise DataError(f"{where}: expected {n} rows of numbers, (n,) or (n, size), got the shape {column.shape}")
    numbers = torch.from_numpy(np.ascontiguousarray(column, dtype=np.float32)).reshape(n, -1)
    if known is not None and numbers.shape[1] != known.size:
        raise DataError(f"{where}: expected {known.size} numbers a row, as in training, got {numbers.shape[1]}")
    if torch.isinf(numbers).any():
        raise DataError(f"{where}: expected finite numbers (NaN where unknown), got infinity")
    return Column(numbers)


def wanted(names: Sequence[str], columns: Mapping[str, Column], where: str) -> dict[str, Column]:
    """The columns that are to condition. Raises `DataError` for one that is not there; the message lists those that are."""
    for name in names:
        if name not in columns:
            there = f"the set has {', '.join(columns)}" if columns else "the set has no labels and no other columns"
            raise DataError(f"{where}: data.context: unknown entry '{name}'{near(name, columns)}; {there}")
    return {name: columns[name] for name in names}


def describe(column: Column, train: Tensor, where: str) -> ContextSpec:
    """What a column is, over the training rows `train` (m,). Raises `DataError` where it is unknown in all of them."""
    values = column.values[train]
    known = values >= 0 if column.classes else ~values.isnan().any(1)
    if not known.any():
        raise DataError(f"{where}: expected the context to be known in some training row, got none")
    values = values[known]
    if column.classes:
        shares = torch.bincount(values, minlength=len(column.classes)).double() / len(values)
        return ContextSpec(classes=column.classes, shares=tuple(shares.tolist()))
    numbers = values.double()
    scale = numbers.std(0, correction=0)
    return ContextSpec(
        size=numbers.shape[1],
        mean=tuple(numbers.mean(0).tolist()),
        scale=tuple(torch.where(scale > 0, scale, 1.0).tolist()),
        low=tuple(numbers.amin(0).tolist()),
        high=tuple(numbers.amax(0).tolist()),
    )
