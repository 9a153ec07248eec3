"""Tensors in memory → a `Dataset`: split, standardized on the training rows alone, fingerprinted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekit.core import DataSpec
from vaekit.data.dataset import Dataset, Preparation, Split
from vaekit.data.ids import Numbers
from vaekit.data.labels import read_labels
from vaekit.data.resident import ResidentRows
from vaekit.data.splits import Index, Shares, divide, fingerprint, shuffled
from vaekit.data.values import NumberArray, prepare, standardization, understand


@dataclass(frozen=True)
class Table:
    """Rows of a set before it is split: raw `x` (n, *shape) and class numbers (n,)."""

    x: Tensor
    labels: Tensor | None = None

    @property
    def classes_of_rows(self) -> Index | None:
        """Class numbers as NumPy, for stratified choices."""
        return None if self.labels is None else self.labels.numpy()


@dataclass(frozen=True)
class Stored:
    """An array of numbers with its labels as it was stored or handed over; `where` is what messages call it."""

    x: NumberArray
    labels: Any
    where: str


def understood(name: str, sets: Mapping[Split, Stored], levels: int | None, shares: Shares) -> Dataset:
    """The dataset of arrays whose meaning is not known yet: decided on the training array, applied to all alike."""
    preparation, remarks = understand(sets["train"].x, levels, sets["train"].where)
    tables: dict[Split, Table] = {}
    for split, stored in sets.items():  # the training set comes first: it names the classes
        x, labels = prepare(stored.x, preparation, stored.where), None
        if stored.labels is not None:
            where = f"{stored.where}: labels"
            labels, classes = read_labels(stored.labels, len(x), preparation.classes, where)
            preparation = replace(preparation, classes=classes) if split == "train" else preparation
        tables[split] = Table(x, labels)
    given = {"validation": tables.get("validation"), "test": tables.get("test")}
    return assemble(name, tables["train"], preparation, shares, **given, remarks=remarks)


def assemble(
    name: str,
    pool: Table,
    preparation: Preparation,
    shares: Shares,
    *,
    validation: Table | None = None,
    test: Table | None = None,
    remarks: tuple[str, ...] = (),
) -> Dataset:
    """The dataset of `pool`, divided by `shares`, classes in proportion; given sets are taken as they are."""
    shares = replace(shares, validation=0 if validation else shares.validation, test=0 if test else shares.test)
    parts = divide(len(pool.x), shares, pool.classes_of_rows, where=name)
    mean, scale, more = standardization(pool.x, torch.from_numpy(parts.train), preparation, name)
    spec = DataSpec(preparation.shape, preparation.levels, mean, scale, classes=preparation.classes)
    taken = [
        (pool, parts.train),
        (validation, _limited(validation, shares)) if validation else (pool, parts.validation),
        (test, _limited(test, shares)) if test else (pool, parts.test),
    ]
    train, held_out, tested = (_rows(table, index, spec) for table, index in taken)
    tables = [table for table in (pool, validation, test) if table]
    print_of = [item for table in tables for item in (table.x, table.labels)] + [index for _, index in taken]
    return Dataset(name, spec, preparation, train, held_out, tested, fingerprint(print_of), remarks + more)


def _limited(table: Table, shares: Shares) -> Index:
    return np.sort(shuffled(len(table.x), shares.seed, table.classes_of_rows)[: shares.limit])


def _rows(table: Table, index: Index, spec: DataSpec) -> ResidentRows:
    rows = torch.from_numpy(index)
    labels = None if table.labels is None else table.labels[rows]
    return ResidentRows(table.x.index_select(0, rows), spec, labels, Numbers(rows))
