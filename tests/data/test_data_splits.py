"""Splits are disjoint, reproducible, of the sizes asked for, and hold the classes in proportion."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from vaekit.data.splits import Parts, Shares, divide, fingerprint, parts_of, shuffled
from vaekit.errors import DataError


def everything(parts: Parts) -> list[int]:
    return sorted(np.concatenate([parts.train, parts.validation, parts.test]).tolist())


@pytest.mark.parametrize("shares", [Shares(), Shares(0.25, 7), Shares(3, 0), Shares(0, 0), Shares(0.1, 0.3, seed=5)])
def test_splits_cover_all_rows_once(shares: Shares) -> None:
    parts = divide(53, shares, where="rows")
    assert everything(parts) == list(range(53))


def test_counts_and_fractions() -> None:
    parts = divide(50, Shares(validation=0.1, test=8), where="rows")
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (37, 5, 8)


def test_same_seed_same_split_and_another_seed_another() -> None:
    first, again, other = (divide(60, Shares(seed=seed), where="rows") for seed in (3, 3, 4))
    assert np.array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)


def test_the_permutation_never_changes() -> None:
    assert shuffled(8, 0).tolist() == [6, 2, 1, 7, 3, 0, 5, 4]


def test_classes_in_proportion() -> None:
    labels = np.array([0] * 60 + [1] * 30 + [2] * 10)
    parts = divide(100, Shares(0.2, 0.3), labels, where="rows")
    assert np.bincount(labels[parts.test]).tolist() == [18, 9, 3]
    assert np.bincount(labels[parts.validation]).tolist() == [12, 6, 2]


def test_limit_keeps_so_many_rows_of_every_class() -> None:
    labels = np.array([0] * 60 + [1] * 30)
    parts = divide(90, Shares(0.2, 0.2, limit=30), labels, where="rows")
    kept = everything(parts)
    assert len(kept) == len(set(kept)) == 30
    assert np.bincount(labels[kept]).tolist() == [20, 10]


@pytest.mark.parametrize(("n", "shares"), [(1, Shares()), (2, Shares()), (10, Shares(5, 5)), (10, Shares(0.99, 0.5))])
def test_too_few_rows(n: int, shares: Shares) -> None:
    with pytest.raises(DataError, match=f"here: expected enough rows.*got {n} in all"):
        divide(n, shares, where="here")


@pytest.mark.parametrize("share", [-0.1, 1.5, 10.25])
def test_shares_are_fractions_or_whole_counts(share: float) -> None:
    with pytest.raises(DataError, match="`validation`: expected a fraction below 1 or a whole number"):
        divide(100, Shares(validation=share), where="here")


def test_marked_splits_are_kept_and_missing_ones_made() -> None:
    codes = np.array([0] * 20 + [2] * 6)
    parts = parts_of(codes, Shares(validation=0.25, test=0.5), None, where="here")
    assert parts.test.tolist() == list(range(20, 26))
    assert len(parts.validation) == 5
    assert everything(parts) == list(range(26))


def test_fingerprint_tells_content_shape_type_and_order_apart() -> None:
    x = torch.arange(12, dtype=torch.uint8)
    contents = [[x], [x.reshape(3, 4)], [x.to(torch.int32)], [x.flip(0)], [x[:6], x[6:]], [b"ab", b"c"], [b"a", b"bc"]]
    marks = [fingerprint(content) for content in contents]
    assert len(set(marks)) == len(marks)
    assert marks[0] == fingerprint([np.arange(12, dtype=np.uint8)])
