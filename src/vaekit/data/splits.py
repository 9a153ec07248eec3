"""Who belongs to which split, decided by a seed alone, and the fingerprint that a run records."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vaekit.errors import DataError

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Shares:
    """How rows are divided. Shares below one are fractions of the rows, one and above are counts; zero is none.

    `limit` keeps at most so many rows of each set that the source gives, chosen by the same seed.
    """

    validation: float = 0.1
    test: float = 0.1
    seed: int = 0
    limit: int | None = None


@dataclass(frozen=True)
class Parts:
    """Row numbers of the three splits, each ascending; together they are disjoint."""

    train: Index
    validation: Index
    test: Index


def divide(n: int, shares: Shares, labels: Index | None = None, *, where: str) -> Parts:
    """Row numbers of each split out of `n` rows. With `labels` every split holds the classes in proportion.

    Raises `DataError` where a share is no fraction and no whole count, or where no row is left to train on.

    >>> parts = divide(10, Shares(validation=0.2, test=3), where="rows")
    >>> len(parts.train), len(parts.validation), len(parts.test)
    (5, 2, 3)
    """
    order = shuffled(n, shares.seed, labels)[: shares.limit]
    test = _count(shares.test, len(order), "test")
    validation = _count(shares.validation, len(order), "validation")
    if len(order) - test - validation < 1:
        raise DataError(
            f"{where}: expected enough rows for three splits, got {len(order)} in all, of which "
            f"{validation} would go to validation and {test} to test (n_samples = {len(order)}).\n"
            "  fix: give more rows, or smaller `validation` and `test`"
        )
    held_out = test + validation
    return Parts(np.sort(order[held_out:]), np.sort(order[test:held_out]), np.sort(order[:test]))


def parts_of(codes: Index, shares: Shares, labels: Index | None, *, where: str) -> Parts:
    """Row numbers of each split where the source itself says so: codes 0 train, 1 validation, 2 test.

    A split that no row is marked for is taken from the training rows by its share.
    """
    given = [np.flatnonzero(codes == code) for code in (0, 1, 2)]
    shares = Shares(0 if len(given[1]) else shares.validation, 0 if len(given[2]) else shares.test, shares.seed)
    parts = divide(len(given[0]), shares, None if labels is None else labels[given[0]], where=where)
    validation = given[1] if len(given[1]) else given[0][parts.validation]
    test = given[2] if len(given[2]) else given[0][parts.test]
    return Parts(given[0][parts.train], validation, test)


def shuffled(n: int, seed: int, labels: Index | None = None) -> Index:
    """A permutation of n rows (n,). With `labels` any prefix of it holds every class in proportion to its size."""
    # RandomState's stream is frozen for good, which newer generators do not promise.
    order = np.random.RandomState(seed).permutation(n).astype(np.int64)
    if labels is None:
        return order
    _, which, counts = np.unique(labels[order], return_inverse=True, return_counts=True)
    by_class = np.argsort(which, kind="stable")
    rank = np.empty(n)
    rank[by_class] = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    return order[np.argsort((rank + 0.5) / counts[which], kind="stable")]


def _count(share: float, n: int, name: str) -> int:
    if share < 0 or (share >= 1 and share != int(share)):
        raise DataError(f"`{name}`: expected a fraction below 1 or a whole number of rows, got {share:g}")
    if share >= 1 or share == 0:
        return int(share)
    return max(1, round(share * n))


def fingerprint(content: Iterable[bytes | Tensor | Index | None]) -> str:
    """SHA-256 in hexadecimal over bytes and arrays in turn; lengths, types and shapes count as well."""
    digest = hashlib.sha256()
    for item in content:
        if isinstance(item, Tensor):
            item = item.numpy()
        if isinstance(item, np.ndarray):
            digest.update(f"{item.dtype.str}{item.shape}".encode())
            digest.update(np.ascontiguousarray(item).reshape(-1).view(np.uint8).data)
        elif item is not None:
            digest.update(f"{len(item)}:".encode())
            digest.update(item)
    return digest.hexdigest()
