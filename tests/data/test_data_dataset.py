"""Rows in memory, names of rows, and the preparation that a run saves."""

from __future__ import annotations

import json

import pytest
import torch

from vaekit.core import DataSpec
from vaekit.data.dataset import Dataset, Preparation
from vaekit.data.ids import Names, Numbers, pick
from vaekit.data.read import from_arrays
from vaekit.data.resident import ResidentRows
from vaekit.errors import DataError


@pytest.fixture
def rows() -> ResidentRows:
    x = torch.arange(11 * 6, dtype=torch.uint8).reshape(11, 1, 2, 3)
    return ResidentRows(x, DataSpec((1, 2, 3), levels=256), torch.arange(11) % 3)


def test_gather_keeps_the_order(rows: ResidentRows) -> None:
    index = torch.tensor([7, 0, 7])
    batch = rows.gather(index)
    assert torch.equal(batch.x, rows.x[index])
    assert torch.equal(batch.index, index)
    assert batch.x.dtype == torch.uint8


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [4, 4, 2]), (True, [4, 4])])
def test_batches_follow_the_order(rows: ResidentRows, drop_last: bool, sizes: list[int]) -> None:
    order = torch.tensor([5, 3, 9, 1, 0, 2, 10, 4, 8, 6])
    batches = list(rows.batches(order, 4, drop_last))
    assert [len(batch) for batch in batches] == sizes
    assert torch.equal(torch.cat([batch.index for batch in batches]), order[: sum(sizes)])
    assert torch.equal(torch.cat([batch.x for batch in batches]), rows.x[order[: sum(sizes)]])


def test_an_empty_order_has_no_batches(rows: ResidentRows) -> None:
    assert list(rows.batches(torch.empty(0, dtype=torch.int64), 4)) == []


def test_in_order_is_everything_once(rows: ResidentRows) -> None:
    assert torch.equal(torch.cat([batch.x for batch in rows.in_order(3)]), rows.x)


def test_a_selection_is_numbered_anew_and_keeps_its_ids(rows: ResidentRows) -> None:
    part = rows.select(torch.tensor([9, 4])).to("cpu")
    assert (len(part), list(part.ids), part.labels.tolist()) == (2, ["9", "4"], [0, 1])
    assert torch.equal(part.gather(torch.tensor([1])).x, rows.x[4:5])


def test_names_survive_packing() -> None:
    given = ["a/b.png", "", "snø/ä.jpg", "bad\udcff.png"]
    names = Names(given)
    assert list(names) == given
    assert names[-1] == given[-1]
    assert names[1:3] == given[1:3]
    assert list(pick(names, torch.tensor([2, 0]))) == [given[2], given[0]]
    with pytest.raises(IndexError):
        names[4]


def test_numbers_are_text_when_read() -> None:
    numbers = Numbers(torch.tensor([30, 7, 9]))
    assert (list(numbers), numbers[1:]) == (["30", "7", "9"], ["7", "9"])
    assert list(pick(numbers, torch.tensor([2]))) == ["9"]


@pytest.mark.parametrize(
    "preparation",
    [Preparation((3, 20, 24), 256, fit="pad", classes=("cat", "dog")), Preparation((5,)), Preparation((4,), 2, 256)],
)
def test_preparation_survives_json(preparation: Preparation) -> None:
    assert Preparation.from_dict(json.loads(json.dumps(preparation.to_dict()))) == preparation


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"shape": [3, 8, 8], "size": 4},
        {"shape": []},
        {"shape": "3x8x8"},
        {"shape": [3, -8, 8]},
        {"shape": [3], "levels": "many"},
        {"shape": [3], "fit": "squeeze"},
        {"shape": [3], "classes": [1]},
    ],
)
def test_a_tampered_preparation_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(DataError, match="preparation: expected"):
        Preparation.from_dict(values)


def test_splits_by_name() -> None:
    data: Dataset = from_arrays(torch.rand(20, 3), validation=4, test=5)
    assert [len(data.split(name)) for name in ("train", "validation", "test")] == [11, 4, 5]
    with pytest.raises(DataError, match="expected a split out of train, validation, test; got 'dev'"):
        data.split("dev")  # type: ignore[arg-type]
