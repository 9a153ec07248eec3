"""Tables as they are read: columns by name out of files, DataFrames and arrays, and what each column is for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from vaekit.data.arrow_files import SUFFIXES as ARROW_SUFFIXES
from vaekit.data.arrow_files import check_names, read_columns, read_header
from vaekit.data.cells import Column
from vaekit.data.context import LABEL
from vaekit.data.dataset import Missing
from vaekit.data.folder import existing
from vaekit.data.stored import SUFFIXES as STORED_SUFFIXES
from vaekit.data.stored import read_stored
from vaekit.data.values import as_array
from vaekit.errors import DataError, near

SUFFIXES = ARROW_SUFFIXES + STORED_SUFFIXES


@dataclass(frozen=True)
class Frame:
    """A table as it was read. `labels` and `beside` are arrays apart from the columns, as those of an `.npz` file are."""

    columns: Mapping[str, Column]
    rows: int
    where: str  # what messages call it
    labels: Any = None  # (n,)
    beside: Mapping[str, Any] = field(default_factory=dict)  # (n, ...) each
    remarks: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()  # columns that were not read


@dataclass(frozen=True)
class Roles:
    """What the columns of a table are for, as `data` says it; `settled` among the columns that there are."""

    columns: tuple[str, ...] = ()  # empty: all that are left
    ignore: tuple[str, ...] = ()
    label: str | None = None
    normal: str | None = None
    id: str | None = None
    missing: Missing = "error"
    context: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """The columns to read, besides those of the context."""
        return (*self.columns, *(name for name in (self.label, self.id) if name is not None))

    def settled(self, names: Sequence[str], where: str, beside: Sequence[str] = ()) -> Roles:
        """The roles with every column of the model named. Raises `DataError` for names that are not there or stand twice."""
        label = LABEL if self.label is None and LABEL in self.context and LABEL in names else self.label
        if label != LABEL and label in self.context:
            raise DataError(
                f"{where}: data.context: '{label}' is the column of data.label, which a context calls 'label'.\n"
                "  fix: data.context=[label]"
            )
        context = [name for name in self.context if name != LABEL and name not in beside]
        roles = {
            "columns": self.columns,
            "ignore": self.ignore,
            "label": [label] if label is not None else [],
            "id": [self.id] if self.id is not None else [],
            "context": context,
        }
        _check_roles(roles, names, where)
        taken = {name for role, found in roles.items() if role != "columns" for name in found}
        left = self.columns or tuple(name for name in names if name not in taken)
        if not left:
            raise DataError(
                f"{where}: expected a column to model, got none: all of {', '.join(names)} are taken out.\n"
                "  fix: leave one out of data.ignore, data.label, data.id and data.context"
            )
        return replace(self, columns=left, label=label)


Settle: TypeAlias = Callable[[Sequence[str], str, Sequence[str]], Roles]  # names of columns, where, arrays beside them


def _check_roles(roles: Mapping[str, Sequence[str]], names: Sequence[str], where: str) -> None:
    seen: dict[str, str] = {}
    for role, found in roles.items():
        for name in found:
            if name not in names:
                shown = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
                raise DataError(f"{where}: data.{role}: unknown column '{name}'{near(name, names)}; there are {shown}")
            if name in seen:
                raise DataError(
                    f"{where}: expected one use of the column '{name}', got data.{seen[name]} and data.{role}.\n"
                    "  fix: name it in one of them"
                )
            seen[name] = role


def read_frame(path: Path, settle: Settle) -> tuple[Frame, Roles]:
    """The columns of a file that its roles ask for. Raises `DataError` for a file of another kind, and an empty table."""
    suffix = existing(path).suffix.lower()
    if path.is_dir() or suffix not in SUFFIXES:
        raise DataError(
            f"{path}: expected a {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]} file, got "
            f"{'a folder' if path.is_dir() else repr(suffix or path.name)}.\n  fix: save the table as .csv or .parquet"
        )
    if suffix in STORED_SUFFIXES:
        return _stored_frame(path, settle)
    header = read_header(path)
    roles = settle(header.names, str(path), ())
    needed = tuple(dict.fromkeys([*roles.needed, *(name for name in roles.context if name in header.names)]))
    columns, rows = read_columns(path, header, needed)
    if not rows:
        raise DataError(f"{path}: expected rows, got a header alone: {', '.join(header.names[:20])}")
    remarks = tuple(f"{path}: {remark}" for remark in header.remarks)
    ignored = tuple(name for name in header.names if name not in needed)
    return Frame(columns, rows, str(path), remarks=remarks, ignored=ignored), roles


def _stored_frame(path: Path, settle: Settle) -> tuple[Frame, Roles]:
    found = read_stored(path)
    roles = settle(_numbered(found.x, found.where), found.where, found.offered)
    beside = tuple(name for name in roles.context if name in found.offered)
    stored = read_stored(path, beside) if beside else found
    return _chosen(frame_in_hand(stored.x, stored.labels, stored.columns, stored.where), roles), roles


def frame_in_hand(x: Any, labels: Any, beside: Mapping[str, Any], where: str) -> Frame:
    """A DataFrame, or an array of rows (n, D), whose columns are called x0, x1, ..."""
    if is_frame(x):
        columns = _columns_of(x, where)
        if not len(x):
            raise DataError(f"{where}: expected rows, got a header alone: {', '.join(list(columns)[:20])}")
        return Frame(columns, len(x), where, labels, beside)
    rows = as_array(x, where)
    names = _numbered(rows, where)
    return Frame({name: rows[:, i] for i, name in enumerate(names)}, len(rows), where, labels, beside)


def settle_in_hand(frame: Frame, settle: Settle) -> tuple[Frame, Roles]:
    """The columns of a table in hand that its roles ask for."""
    roles = settle(tuple(frame.columns), frame.where, tuple(frame.beside))
    return _chosen(frame, roles), roles


def _chosen(frame: Frame, roles: Roles) -> Frame:
    needed = {*roles.needed, *roles.context}
    columns = {name: column for name, column in frame.columns.items() if name in needed}
    return replace(frame, columns=columns, ignored=tuple(name for name in frame.columns if name not in needed))


def _numbered(x: NDArray[Any], where: str) -> tuple[str, ...]:
    if x.ndim != 2:
        raise DataError(
            f"{where}: expected rows of numbers (n, D), got an array of shape {x.shape}.\n"
            "  fix: the source `array` takes images"
        )
    return tuple(f"x{i}" for i in range(x.shape[1]))


def is_frame(what: Any) -> bool:
    """Whether something is a pandas DataFrame; pandas is not imported to find out."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(what, pandas.DataFrame)


def _columns_of(table: Any, where: str) -> dict[str, NDArray[Any]]:
    names = [str(name) for name in table.columns]
    check_names(names, where)
    return {name: _series(table.iloc[:, i]) for i, name in enumerate(names)}


def _series(series: Any) -> NDArray[Any]:
    """A column of pandas as NumPy: numbers (NaN where missing) or objects (None where missing)."""
    kind, missing = series.dtype.kind, series.isna().to_numpy()
    if kind in "biuf":
        plain = np.float64 if missing.any() else {"b": np.bool_, "i": np.int64, "u": np.uint64, "f": np.float64}[kind]
        numbers: NDArray[Any] = series.to_numpy(plain, na_value=np.nan) if missing.any() else series.to_numpy(plain)
        return numbers
    cells: NDArray[Any] = series.astype(object).to_numpy(dtype=object, copy=True)
    cells[missing] = None
    return cells
