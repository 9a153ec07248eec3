"""A table as it was read → a `Dataset`; and new tables → rows in the order of the run's columns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekit.core import DataSpec
from vaekit.data.assemble import Pool, assemble
from vaekit.data.cells import classes_of, condition_of, matrix, text_of
from vaekit.data.context import LABEL, read_column
from vaekit.data.dataset import Dataset, Preparation
from vaekit.data.frame import Frame, Roles, frame_in_hand, is_frame, read_frame, settle_in_hand
from vaekit.data.ids import Names, Numbers, pick
from vaekit.data.labels import UNKNOWN
from vaekit.data.resident import ResidentRows, has_gaps
from vaekit.data.splits import Shares
from vaekit.data.values import as_array
from vaekit.errors import DataError, near


def dataset_of(name: str, frame: Frame, roles: Roles, shares: Shares) -> Dataset:
    """The dataset of a table. Raises `DataError` for cells and columns that stand in the way, by their names."""
    x = matrix({name: frame.columns[name] for name in roles.columns}, frame.rows, frame.where)
    labels, classes = _labels(frame, roles.label, ())
    beside = {**frame.columns, **frame.beside}
    columns = {
        key: read_column(key, _condition(beside[key]), frame.rows, frame.where)
        for key in roles.context
        if key in beside
    }
    ids = None if roles.id is None else Names(text_of(frame.columns[roles.id]))
    rows, remarks = _whole(x, roles, frame.where)
    pool = Pool(x, labels, columns, ids)
    if rows is not None:
        pool = _some(pool, rows)
    _check_varied(pool.x, frame.where)
    if roles.normal is not None:
        apart, more = _apart(pool.labels, classes, roles.normal, frame.where)
        pool, remarks = replace(pool, apart=apart), remarks + more
    preparation = Preparation(
        shape=(len(roles.columns),),
        classes=classes,
        names=roles.columns,
        label=roles.label,
        normal=roles.normal,
        id=roles.id,
        missing=roles.missing,
        ignored=frame.ignored,
    )
    return assemble(name, pool, preparation, shares, context=roles.context, remarks=frame.remarks + remarks)


def _labels(frame: Frame, label: str | None, known: tuple[str, ...]) -> tuple[Tensor | None, tuple[str, ...]]:
    if label is not None and label in frame.columns:
        return classes_of(frame.columns[label], known, f"{frame.where}: data.label: {label}")
    if frame.labels is None:
        return None, known
    given = frame.labels.detach().cpu() if isinstance(frame.labels, Tensor) else frame.labels
    values = np.asarray(given)
    values = values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values
    if values.shape != (frame.rows,):
        raise DataError(
            f"{frame.where}: labels: expected one label for each of the {frame.rows} rows, got labels of shape {values.shape}"
        )
    return classes_of(values, known, f"{frame.where}: labels", apart=True)


def _condition(values: Any) -> Any:
    """Arrays of numbers and of text as they are; columns of pyarrow and of objects as the context takes them."""
    objects = isinstance(values, np.ndarray) and values.dtype.kind == "O"
    return values if isinstance(values, np.ndarray | Tensor | list | tuple) and not objects else condition_of(values)


def _whole(x: Tensor, roles: Roles, where: str) -> tuple[Tensor | None, tuple[str, ...]]:
    """The rows to keep (None: all), and a remark, where values are missing."""
    gaps = x.isnan()
    counts = gaps.sum(0).tolist()
    if not any(counts):
        return None, ()
    shown = [f"{name} ({count})" for name, count in zip(roles.columns, counts, strict=True) if count]
    found = f"in {len(shown)} of {len(counts)} columns: {', '.join(shown[:20])}{', ...' if len(shown) > 20 else ''}"
    if roles.missing == "error":
        raise DataError(
            f"{where}: expected a value in every cell, got missing values {found}; of {len(x)} rows "
            f"{int(gaps.any(1).sum())} have a gap.\n"
            "  fix: --set data.missing=drop (rows with a gap are left out) or --set data.missing=observed (they are kept, "
            "and the bound counts what is there)"
        )
    if roles.missing == "observed":
        return None, (f"{where}: missing values are left out of the bound, {found}",)
    kept = (~gaps.any(1)).nonzero().flatten()
    if not len(kept):
        raise DataError(
            f"{where}: expected rows without a gap, got none: missing values {found}.\n"
            "  fix: --set data.missing=observed, or leave columns out: data.ignore"
        )
    return kept, (f"{where}: {len(x) - len(kept)} of {len(x)} rows are left out: values are missing {found}",)


def _some(pool: Pool, rows: Tensor) -> Pool:
    labels = None if pool.labels is None else pool.labels[rows]
    columns = {key: replace(column, values=column.values[rows]) for key, column in pool.columns.items()}
    return Pool(pool.x[rows], labels, columns, Numbers(rows) if pool.ids is None else pick(pool.ids, rows))


def _check_varied(x: Tensor, where: str) -> None:
    values = x.numpy()
    if len(x) > 1 and (np.fmin.reduce(values, axis=0) == np.fmax.reduce(values, axis=0)).all():
        raise DataError(
            f"{where}: expected numbers that vary, got the same row {len(x)} times: every column is constant.\n"
            "  fix: give other rows, or other columns"
        )


def _apart(
    labels: Tensor | None, classes: tuple[str, ...], normal: str, where: str
) -> tuple[np.ndarray[Any, np.dtype[np.int64]], tuple[str, ...]]:
    """The rows that are not known to be normal."""
    if labels is None:
        raise DataError(
            f"{where}: data.normal: expected a column of classes, got none.\n  fix: name it: --set data.label=NAME"
        )
    if normal not in classes:
        raise DataError(
            f"{where}: data.normal: unknown class '{normal}'{near(normal, classes)}; there are {', '.join(classes[:20])}"
        )
    unknown = int((labels == UNKNOWN).sum())
    told = f"{where}: data.normal: {unknown} rows without a class go into the test split"
    return np.flatnonzero(labels.numpy() != classes.index(normal)).astype(np.int64), (told,) if unknown else ()


# --- new data --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Order:
    """Finds the columns of a run in new data, in whatever order they come; columns without names count by position."""

    preparation: Preparation
    spec: DataSpec
    named: bool = True
    depth: int = 6  # of the caller whom a warning is for

    def __call__(self, names: Sequence[str], where: str, beside: Sequence[str] = ()) -> Roles:
        """The roles of the columns. Raises `DataError` for columns that are missing, and warns of further ones."""
        ready, context = self.preparation, tuple(name for name in self.spec.context if name != LABEL)
        if not self.named:
            if len(names) != len(ready.names):
                raise DataError(
                    f"{where}: expected rows of {len(ready.names)} numbers ({_shown(ready.names)}), got {len(names)}.\n"
                    "  fix: give these columns, in this order; in a .csv or .parquet file they may stand in any order"
                )
            return Roles(columns=tuple(names), context=tuple(name for name in context if name in beside))
        missing = [name for name in ready.names if name not in names]
        if missing:
            raise DataError(
                f"{where}: expected the columns that the run was trained on, got a table without "
                f"{', '.join(repr(name) + near(name, names) for name in missing[:20])}; it has {_shown(names)}.\n"
                "  fix: rename or add them; a value that is not known is left empty"
            )
        known = {*ready.names, *ready.ignored, *context, ready.label, ready.id}
        further = [name for name in names if name not in known]
        if further:
            warnings.warn(
                f"{where}: columns that the run does not know are ignored: {_shown(further)}", stacklevel=self.depth
            )
        return Roles(
            columns=ready.names,
            label=ready.label if ready.label in names else None,
            id=ready.id if ready.id in names else None,
            context=tuple(name for name in context if name in names or name in beside),
        )


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")


def read_table(what: Any, preparation: Preparation, spec: DataSpec) -> ResidentRows:
    """New rows for a run on a table: a file, a DataFrame, an array (n, D) or a row (D,). No row is left out.

    Raises `DataError` as `data.read` says.
    """
    frame, roles = _new_frame(what, preparation, spec)
    x = matrix({name: frame.columns[name] for name in roles.columns}, frame.rows, frame.where, new=True)
    check_known(x, preparation, frame.where)
    labels, _ = _labels(frame, roles.label, preparation.classes)
    context = _context(frame, labels, preparation, spec)
    ids = Numbers(torch.arange(frame.rows)) if roles.id is None else Names(text_of(frame.columns[roles.id]))
    return ResidentRows(x, spec, labels, ids, context, has_gaps(x))


def _new_frame(what: Any, preparation: Preparation, spec: DataSpec) -> tuple[Frame, Roles]:
    order = Order(preparation, spec)
    if isinstance(what, str | Path):
        path = Path(what).expanduser()
        named = path.suffix.lower() in (".csv", ".parquet")
        return read_frame(path, replace(order, named=named))
    if is_frame(what):
        return settle_in_hand(frame_in_hand(what, None, {}, "data"), order)
    x = as_array(what, "data", axes=1)
    return settle_in_hand(frame_in_hand(x[None] if x.ndim == 1 else x, None, {}, "data"), replace(order, named=False))


def check_known(x: Tensor, preparation: Preparation, where: str, first: int = 0) -> None:
    """Raises `DataError` where values are missing and the run was trained to have none."""
    if preparation.missing != "error" or not has_gaps(x):
        return
    row, column = x.isnan().nonzero()[0].tolist()
    gaps = [name for name, empty in zip(preparation.names, x.isnan().any(0).tolist(), strict=True) if empty]
    raise DataError(
        f"{where}: expected a value in every cell, as in training, got none of {_shown(gaps)} in some rows, first of "
        f"'{preparation.names[column]}' in row {first + row}.\n"
        "  fix: fill them in, or train anew with data.missing=observed"
    )


def _context(frame: Frame, labels: Tensor | None, preparation: Preparation, spec: DataSpec) -> Mapping[str, Tensor]:
    there = {**frame.columns, **frame.beside}
    found = {
        name: read_column(name, _condition(there[name]), frame.rows, frame.where, entry).values
        if name in there and name not in preparation.names
        else entry.unknown(frame.rows)
        for name, entry in spec.context.items()
    }
    if LABEL in found and labels is not None:
        found[LABEL] = labels.masked_fill(labels >= len(spec.context[LABEL].classes), UNKNOWN)
    return found
