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
    if column.dtype.kind == "U" or column.dtype.kind == "O":
        check_text(column, where)
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


def check_text(column: Any, where: str) -> None:
    """Raise `DataError` for text that is meant to be numbers, or where nearly every row has a text of its own."""
    cells = [str(cell) for cell in column.ravel() if str(cell)]
    odd = [cell for cell in cells if not is_number(cell)]
    if cells and odd and len(odd) < len(cells) / 2:
        raise DataError(
            f"{where}: expected numbers, got '{odd[0]}' among them ({len(odd)} of {len(cells)} values are no numbers).\n"
            "  fix: leave a value that is not known empty (NaN in an array)"
        )
    if any("." in cell for cell in cells) and not odd:
        raise DataError(f"{where}: expected numbers, got text such as '{cells[0]}'.\n  fix: give them as floats")
    if len(cells) >= 40 and len(set(cells)) > len(cells) / 2:
        raise DataError(
            f"{where}: expected classes, got {len(set(cells))} different texts in {len(cells)} rows: nearly every row would "
            "be a class of its own"
        )


def is_number(text: str) -> bool:
    """Whether a text reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def unknown_in(values: Tensor) -> Tensor:
    """Where an entry is unknown, (n,)."""
    return values.isnan().any(1) if values.is_floating_point() else values < 0


def missing_values(columns: Mapping[str, Column], where: str) -> list[str]:
    """Remarks on columns that are not known everywhere."""
    found = {name: int(unknown_in(column.values).sum()) for name, column in columns.items()}
    return [
        f"{where}: data.context: {name} is unknown in {count} of {len(columns[name].values)} rows"
        for name, count in found.items()
        if count
    ]


def wanted(names: Sequence[str], columns: Mapping[str, Column], where: str) -> dict[str, Column]:
    """The columns that are to condition. Raises `DataError` for one that is not there; the message lists those that are."""
    for name in names:
        if name not in columns:
            there = f"the set has {', '.join(columns)}" if columns else "the set has no labels and no other columns"
            raise DataError(
                f"{where}: data.context: unknown entry '{name}'{near(name, columns)}; {there}.\n"
                "  fix: labels are sub-folders of images or `labels` of an .npz file; other columns stand in that file, or in "
                "the table data.attributes of a folder"
            )
    return {name: columns[name] for name in names}


def describe(column: Column, train: Tensor, where: str) -> ContextSpec:
    """What a column is, over the training rows `train` (m,). Raises `DataError` where it is unknown in all of them."""
    values = column.values[train]
    known = ~unknown_in(values)
    if not known.any():
        raise DataError(f"{where}: expected the context to be known in some training row, got none")
    values = values[known]
    if column.classes and bool((values == values[0]).all()):
        name = column.classes[int(values[0])]
        raise DataError(
            f"{where}: expected at least two classes in the training rows, got '{name}' alone (-1 means unknown)"
        )
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
