"""Columns as they come (of NumPy or pyarrow) → numbers, text, classes; and what stands in the way, named cell by cell."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaekit.data.context import is_number
from vaekit.data.labels import MOST_CLASSES, UNKNOWN
from vaekit.errors import DataError

Column: TypeAlias = Any  # an array of NumPy (n,), or an array or column of pyarrow
# What stands for a value that is not known, besides an empty cell: as pyarrow reads it.
MISSING = {"", "#n/a", "#n/a n/a", "#na", "n/a", "na", "nan", "-nan", "null", "none", "<na>"}
TRUTHS = {"true": 1.0, "false": 0.0}


@dataclass(frozen=True)
class Odd:
    """A column with cells that are no numbers: the first of them, its row, and how many there are."""

    name: str
    value: str
    row: int
    count: int


def numbers_of(column: Column) -> NDArray[Any] | None:
    """A column of numbers or truth values as NumPy, NaN where it is empty; None for anything else."""
    if isinstance(column, np.ndarray):
        return column if column.dtype.kind in "biuf" else None
    kind, types = column.type, _arrow().types
    if types.is_dictionary(kind):
        return numbers_of(column.cast(kind.value_type))
    if types.is_boolean(kind) or types.is_decimal(kind) or types.is_null(kind):
        column = column.cast(_arrow().float64())
    elif not (types.is_floating(kind) or types.is_integer(kind)):
        return None
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values


def text_of(column: Column) -> list[str]:
    """Every cell as text, empty where nothing is known."""
    if isinstance(column, np.ndarray):
        return ["" if cell is None or cell != cell else str(cell) for cell in column.tolist()]
    try:
        cells: list[str] = column.cast(_arrow().string()).fill_null("").to_pylist()
    except _arrow().ArrowException:  # lists, structs, bytes that are no text
        cells = ["" if cell is None else str(cell) for cell in column.to_pylist()]
    return cells


def spelled(cells: Sequence[str]) -> tuple[NDArray[np.float64], list[int]]:
    """Text as numbers, NaN where nothing is known, and the places of what is no number.

    >>> spelled(["1.5", "", "oops", "7"])
    (array([1.5, nan, nan, 7. ]), [2])
    """
    plain = [cell.strip().lower() for cell in cells]
    if {cell for cell in plain if cell not in MISSING} <= TRUTHS.keys():
        return np.array([TRUTHS.get(cell, np.nan) for cell in plain], dtype=np.float64), []
    numbers, odd = np.full(len(cells), np.nan), []
    for i, cell in enumerate(plain):
        if is_number(cell) and "_" not in cell:
            numbers[i] = float(cell)
        elif cell not in MISSING:
            odd.append(i)
    return numbers, odd


def matrix(columns: dict[str, Column], rows: int, where: str, *, first: int = 0, new: bool = False) -> Tensor:
    """Columns side by side, float32 (rows, D), NaN where a cell is empty. `first` is the number of the first row.

    Raises `DataError` that names every column with text in it, or with infinite values; `new`: of a run that is trained.
    """
    x = np.empty((rows, len(columns)), np.float32)
    odd: list[Odd] = []
    with np.errstate(over="ignore", invalid="ignore"):
        for j, (name, column) in enumerate(columns.items()):
            values = numbers_of(column)
            if values is None:
                cells = text_of(column)
                values, places = spelled(cells)
                if places:
                    odd.append(Odd(name, cells[places[0]], first + places[0], len(places)))
            x[:, j] = values
    if odd:
        raise DataError(_text_message(where, odd, len(columns), rows, new))
    if np.isinf(x).any():
        raise DataError(_infinite_message(where, x, columns, first))
    return torch.from_numpy(x)


def _text_message(where: str, odd: Sequence[Odd], columns: int, rows: int, new: bool) -> str:
    lines = [f"  {o.name}: {_short(o.value)} in row {o.row} ({o.count} of {rows} values)" for o in odd[:20]]
    more = [f"  and {len(odd) - 20} more columns"] if len(odd) > 20 else []
    if new:
        fix = "give numbers, as in training; leave a value that is not known empty"
    elif len(odd) == columns:
        fix = "give columns of numbers; text can name classes (data.label), rows (data.id) or conditions (data.context)"
    else:
        fix = (
            f"leave them out: --set 'data.ignore={listed([o.name for o in odd])}'; or say what they are: data.label "
            "(classes), data.id (names of rows), data.context; and leave a value that is not known empty"
        )
    amount = "every column" if len(odd) == columns else f"{len(odd)} of {columns} columns"
    return "\n".join([f"{where}: expected columns of numbers, got text in {amount}:", *lines, *more, f"  fix: {fix}"])


def _infinite_message(where: str, x: NDArray[np.float32], columns: dict[str, Column], first: int) -> str:
    lines, bad = [], np.isinf(x)
    for j in np.flatnonzero(bad.any(0))[:20]:
        name, row = list(columns)[j], int(bad[:, j].argmax())
        values = numbers_of(columns[name])
        value = float(spelled(text_of(columns[name]))[0][row] if values is None else values[row])
        beyond = "" if np.isinf(value) else ", beyond what float32 holds"
        lines.append(f"  {name}: {value:g} in row {first + row} ({int(bad[:, j].sum())} of {len(x)} values{beyond})")
    head = f"{where}: expected finite numbers, got infinite ones:"
    return "\n".join([head, *lines, "  fix: scale them, or leave these cells empty and set data.missing"])


def _short(value: str) -> str:
    return repr(value if len(value) <= 40 else value[:37] + "...")


def listed(names: Sequence[str]) -> str:
    """Names as a list in YAML, as `--set` takes it.

    >>> print(listed(["colour", "my notes", "7"]))
    [colour, "my notes", "7"]
    """
    plain = [
        re.fullmatch(r"[A-Za-z_][\w.-]*", name) and name.lower() not in ("true", "false", "null") for name in names
    ]
    return (
        "[" + ", ".join(n if p else json.dumps(n, ensure_ascii=False) for n, p in zip(names, plain, strict=True)) + "]"
    )


def classes_of(
    column: Column, known: tuple[str, ...], where: str, *, apart: bool = False
) -> tuple[Tensor, tuple[str, ...]]:
    """Class numbers (n,), int64, −1 where a cell is empty, and the names of the classes: those that occur, in order.

    With `known` (of the training data) cells are looked up there. In arrays that stand `apart` from a table −1 is unknown.
    Raises `DataError` for numbers between whole ones, and for as many classes as rows.
    """
    codes, cells = _distinct(column)
    names = [_class_name(cell, where) for cell in cells]
    if apart:
        names = ["" if name == "-1" else name for name in names]
    classes = known or _in_order(set(names) - {""})
    if not known and (len(classes) > MOST_CLASSES or (len(codes) >= 40 and len(classes) > len(codes) / 2)):
        raise DataError(
            f"{where}: expected classes, got {len(classes)} different values in {len(codes)} rows.\n"
            "  fix: a column that names the rows is data.id; one that is to be left out stands in data.ignore"
        )
    number = {name: i for i, name in enumerate(classes)}
    found = [number.get(name, number.get(_canonical(name), UNKNOWN)) for name in names]
    return torch.from_numpy(np.array([*found, UNKNOWN], dtype=np.int64)[codes]), classes


def _distinct(column: Column) -> tuple[NDArray[np.int64], list[Any]]:
    """For each row the place of its cell among the distinct cells (−1: empty), and these."""
    if isinstance(column, np.ndarray) and column.dtype.kind != "O":
        cells, codes = np.unique(column, return_inverse=True)
        return codes.reshape(-1).astype(np.int64), cells.tolist()
    if isinstance(column, np.ndarray):
        places: dict[Any, int] = {}
        return np.array([places.setdefault(cell, len(places)) for cell in text_of(column)], np.int64), list(places)
    arrow = _arrow()
    if arrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if arrow.types.is_nested(column.type):
        return _distinct(np.array(text_of(column), dtype=object))
    whole = arrow.concat_arrays(column.chunks) if isinstance(column, arrow.ChunkedArray) else column
    encoded = whole.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)
    return codes, encoded.dictionary.to_pylist()


def _class_name(cell: Any, where: str) -> str:
    """
    >>> [_class_name(cell, "") for cell in ("tit", 3, 3.0, True, None)]
    ['tit', '3', '3', 'true', '']
    """
    if cell is None or cell != cell:
        return ""
    if isinstance(cell, bool):
        return str(cell).lower()
    if isinstance(cell, float):
        if cell != int(cell):
            raise DataError(
                f"{where}: expected classes (text or whole numbers), got {cell:g}.\n  fix: name another column, or none"
            )
        return str(int(cell))
    return str(cell)


def _canonical(name: str) -> str:
    """Another spelling of the same class: '1.0' is '1', 'True' is 'true'."""
    if is_number(name) and "_" not in name and float(name).is_integer():
        return str(int(float(name)))
    return name.lower() if name.lower() in TRUTHS else name


def _in_order(names: set[str]) -> tuple[str, ...]:
    whole = all(re.fullmatch(r"-?\d+", name) for name in names)
    return tuple(sorted(names, key=int)) if whole else tuple(sorted(names))


def condition_of(column: Column) -> NDArray[Any]:
    """A column as the context takes it: floats are numbers (NaN: unknown), text and whole numbers are classes."""
    values = numbers_of(column)
    if values is None:
        return np.array(text_of(column), dtype=object)
    if isinstance(column, np.ndarray) or not column.null_count:
        return values
    types = _arrow().types
    if types.is_integer(column.type) or types.is_boolean(column.type):
        return np.where(np.isnan(values), UNKNOWN, values).astype(np.int64)
    return values


def _arrow() -> Any:
    from vaekit.data.arrow_files import arrow

    return arrow()
