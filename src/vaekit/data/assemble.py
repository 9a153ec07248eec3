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
from vaekit.data.ids import Numbers, pick
from vaekit.data.labels import read_labels
from vaekit.data.resident import ResidentRows, has_gaps
from vaekit.data.splits import Index, Parts, Shares, divide, fingerprint, shuffled
from vaekit.data.values import NumberArray, prepare, standardization, understand


@dataclass(frozen=True)
class Pool:
    """Rows of a set before it is split: raw `x` (n, *shape), class numbers (n,), and further columns by name.

    The rows `apart` go into the test split and into no other; `ids` name the rows, where they have names.
    """

    x: Tensor
    labels: Tensor | None = None
    columns: Mapping[str, Column] = field(default_factory=dict)
    ids: Sequence[str] | None = None
    apart: Index | None = None

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
    pools: dict[Split, Pool] = {}
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
        pools[split] = Pool(x, labels, columns)
    given = {"validation": pools.get("validation"), "test": pools.get("test")}
    return assemble(name, pools["train"], preparation, shares, **given, context=context, remarks=remarks)


def assemble(
    name: str,
    pool: Pool,
    preparation: Preparation,
    shares: Shares,
    *,
    validation: Pool | None = None,
    test: Pool | None = None,
    context: Sequence[str] = (),
    remarks: tuple[str, ...] = (),
) -> Dataset:
    """The dataset of `pool`, divided by `shares`, classes in proportion; given sets are taken as they are.

    `context` are the columns that condition the model; `label` is the class.
    """
    shares = replace(shares, validation=0 if validation else shares.validation, test=0 if test else shares.test)
    parts = _divided(pool, shares, name)
    mean, scale, more = standardization(pool.x, torch.from_numpy(parts.train), preparation, name)
    entries = {
        key: describe(column, torch.from_numpy(parts.train), f"{name}: data.context: {key}")
        for key, column in wanted(context, columns_of(pool, preparation), name).items()
    }
    spec = DataSpec(
        preparation.shape, preparation.levels, mean, scale, preparation.names, preparation.classes, context=entries
    )
    taken = [
        (pool, parts.train),
        (validation, _limited(validation, shares)) if validation else (pool, parts.validation),
        (test, _limited(test, shares)) if test else (pool, parts.test),
    ]
    train, held_out, tested = (_rows(given, index, spec, preparation) for given, index in taken)
    pools = [given for given in (pool, validation, test) if given]
    print_of = [item for given in pools for item in (given.x, given.labels)] + [index for _, index in taken]
    print_of += [column.values for given in pools for column in given.columns.values()]
    return Dataset(name, spec, preparation, train, held_out, tested, fingerprint(print_of), remarks + more)


def _divided(pool: Pool, shares: Shares, name: str) -> Parts:
    """The three splits; rows that stand apart join the test split, as far as the limit keeps them."""
    if pool.apart is None:
        return divide(len(pool.x), shares, pool.classes_of_rows, where=name)
    labels = pool.classes_of_rows
    kept = shuffled(len(pool.x), shares.seed, labels)[: shares.limit]
    apart = np.intersect1d(kept, pool.apart)
    rest = np.setdiff1d(kept, apart)
    parts = divide(len(rest), replace(shares, limit=None), None if labels is None else labels[rest], where=name)
    test = np.sort(np.concatenate([rest[parts.test], apart]))
    return Parts(rest[parts.train], rest[parts.validation], test)


def _limited(pool: Pool, shares: Shares) -> Index:
    return np.sort(shuffled(len(pool.x), shares.seed, pool.classes_of_rows)[: shares.limit])


def columns_of(pool: Pool, preparation: Preparation) -> dict[str, Column]:
    """All columns of a set, its labels among them."""
    labels = {} if pool.labels is None else {LABEL: Column(pool.labels, preparation.classes)}
    return {**labels, **pool.columns}


def _rows(pool: Pool, index: Index, spec: DataSpec, preparation: Preparation) -> ResidentRows:
    rows = torch.from_numpy(index)
    labels = None if pool.labels is None else pool.labels[rows]
    columns = columns_of(pool, preparation)
    context = {
        key: columns[key].values if key in columns else entry.unknown(len(pool.x))
        for key, entry in spec.context.items()
    }
    ids = Numbers(rows) if pool.ids is None else pick(pool.ids, rows)
    x = pool.x.index_select(0, rows)
    return ResidentRows(x, spec, labels, ids, rows_of(context, rows), has_gaps(x))
