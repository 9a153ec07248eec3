"""Tensors in memory → a `Dataset`: split, standardized on the training rows alone, fingerprinted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekit.core import ContextSpec, DataSpec
from vaekit.data.context import LABEL, Column, describe, read_column, wanted
from vaekit.data.dataset import Dataset, Preparation, Split, rows_of
from vaekit.data.ids import Numbers
from vaekit.data.labels import read_labels
from vaekit.data.resident import ResidentRows
from vaekit.data.splits import Index, Shares, divide, fingerprint, shuffled
from vaekit.data.values import NumberArray, prepare, standardization, understand


@dataclass(frozen=True)
class Table:
    """Rows of a set before it is split: raw `x` (n, *shape), class numbers (n,), and further columns by name."""

    x: Tensor
    labels: Tensor | None = None
    columns: Mapping[str, Column] = field(default_factory=dict)

    @property
    def classes_of_rows(self) -> Index | None:
        """Class numbers as NumPy, for stratified choices."""
        return None if self.labels is None else self.labels.numpy()


@dataclass(frozen=True)
class Stored:
    """An array of numbers with its labels and columns as stored or handed over; `where` is what messages call it."""

    x: NumberArray
    labels: Any
    where: str
    columns: Mapping[str, Any] = field(default_factory=dict)
    offered: tuple[str, ...] = ()  # all columns that there are


def understood(
    name: str, sets: Mapping[Split, Stored], levels: int | None, shares: Shares, context: Sequence[str] = ()
) -> Dataset:
    """The dataset of arrays whose meaning is not known yet: decided on the training array, applied to all alike."""
    preparation, remarks = understand(sets["train"].x, levels, sets["train"].where)
    for key in context:
        if key != LABEL and key not in sets["train"].columns:
            wanted([key], dict.fromkeys([LABEL, *sets["train"].offered], Column(torch.empty(0))), sets["train"].where)
    tables: dict[Split, Table] = {}
    first: dict[str, ContextSpec] = {}
    for split, stored in sets.items():  # the training set comes first: it names the classes
        x, labels = prepare(stored.x, preparation, stored.where), None
        if stored.labels is not None:
            where = f"{stored.where}: labels"
            labels, classes = read_labels(stored.labels, len(x), preparation.classes, where)
            preparation = replace(preparation, classes=classes) if split == "train" else preparation
        columns = {
            key: read_column(key, values, len(x), stored.where, first.get(key))
            for key, values in stored.columns.items()
            if key in context
        }
        if split == "train":
            first = {key: ContextSpec(column.classes) for key, column in columns.items() if column.classes}
        tables[split] = Table(x, labels, columns)
    given = {"validation": tables.get("validation"), "test": tables.get("test")}
    return assemble(name, tables["train"], preparation, shares, **given, context=context, remarks=remarks)


def assemble(
    name: str,
    pool: Table,
    preparation: Preparation,
    shares: Shares,
    *,
    validation: Table | None = None,
    test: Table | None = None,
    context: Sequence[str] = (),
    remarks: tuple[str, ...] = (),
) -> Dataset:
    """The dataset of `pool`, divided by `shares`, classes in proportion; given sets are taken as they are.

    `context` are the columns that condition the model; `label` is the class.
    """
    shares = replace(shares, validation=0 if validation else shares.validation, test=0 if test else shares.test)
    parts = divide(len(pool.x), shares, pool.classes_of_rows, where=name)
    mean, scale, more = standardization(pool.x, torch.from_numpy(parts.train), preparation, name)
    entries = {
        key: describe(column, torch.from_numpy(parts.train), f"{name}: data.context: {key}")
        for key, column in wanted(context, columns_of(pool, preparation), name).items()
    }
    spec = DataSpec(preparation.shape, preparation.levels, mean, scale, classes=preparation.classes, context=entries)
    taken = [
        (pool, parts.train),
        (validation, _limited(validation, shares)) if validation else (pool, parts.validation),
        (test, _limited(test, shares)) if test else (pool, parts.test),
    ]
    train, held_out, tested = (_rows(table, index, spec, preparation) for table, index in taken)
    tables = [table for table in (pool, validation, test) if table]
    print_of = [item for table in tables for item in (table.x, table.labels)] + [index for _, index in taken]
    print_of += [column.values for table in tables for column in table.columns.values()]
    return Dataset(name, spec, preparation, train, held_out, tested, fingerprint(print_of), remarks + more)


def _limited(table: Table, shares: Shares) -> Index:
    return np.sort(shuffled(len(table.x), shares.seed, table.classes_of_rows)[: shares.limit])


def columns_of(table: Table, preparation: Preparation) -> dict[str, Column]:
    """All columns of a table, its labels among them."""
    labels = {} if table.labels is None else {LABEL: Column(table.labels, preparation.classes)}
    return {**labels, **table.columns}


def _rows(table: Table, index: Index, spec: DataSpec, preparation: Preparation) -> ResidentRows:
    rows = torch.from_numpy(index)
    labels = None if table.labels is None else table.labels[rows]
    columns = columns_of(table, preparation)
    context = {
        key: columns[key].values if key in columns else entry.unknown(len(table.x))
        for key, entry in spec.context.items()
    }
    return ResidentRows(table.x.index_select(0, rows), spec, labels, Numbers(rows), rows_of(context, rows))
