"""What arrays mean: layouts, levels, continuous units; and what is refused, with a message that says why."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vaekit.data.dataset import Preparation
from vaekit.data.labels import read_labels
from vaekit.data.read import from_arrays
from vaekit.data.values import as_array, prepare, understand
from vaekit.errors import DataError


def images(*shape: int, high: int = 256, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, high, shape).astype(np.uint8)


@pytest.mark.parametrize(
    ("shape", "found"),
    [
        ((5, 9, 11), (1, 9, 11)),
        ((5, 9, 11, 3), (3, 9, 11)),
        ((5, 3, 9, 11), (3, 9, 11)),
        ((5, 9, 11, 1), (1, 9, 11)),
        ((5, 2, 9, 11), (2, 9, 11)),
        ((5, 7), (7,)),
    ],
)
def test_layouts(shape: tuple[int, ...], found: tuple[int, ...]) -> None:
    preparation, _ = understand(images(*shape), None, "x")
    assert preparation.shape == found
    assert prepare(images(*shape), preparation, "x").shape == (5, *found)


def test_channels_last_and_first_are_the_same_images() -> None:
    x = images(4, 9, 11, 3)
    preparation, _ = understand(x, None, "x")
    assert torch.equal(prepare(x, preparation, "x"), prepare(x.transpose(0, 3, 1, 2), preparation, "x"))
    assert prepare(x, preparation, "x")[2, 1, 5, 7] == x[2, 5, 7, 1]


@pytest.mark.parametrize(
    ("x", "levels"),
    [
        (images(6, 9, 11), 256),
        (images(6, 9, 11, high=2), 2),
        (images(6, 9, 11).astype(bool), 2),
        (images(6, 9, 11).astype(np.int64), 256),
        (images(6, 12), 256),
        (images(6, 9, 11) / 255, None),
        (np.random.default_rng(0).normal(size=(6, 4)), None),
        (np.arange(24).reshape(6, 4), None),
    ],
)
def test_the_dtype_says_how_many_levels(x: np.ndarray, levels: int | None) -> None:
    assert from_arrays(x).spec.levels == levels


def test_fewer_levels_are_equal_bins() -> None:
    x = np.arange(256, dtype=np.uint8).reshape(2, 128)
    data = from_arrays(x, levels=8, validation=0, test=0)
    assert data.train.gather(torch.arange(2)).x.flatten().bincount().tolist() == [32] * 8


@pytest.mark.parametrize("divisor", [1, 16])
def test_levels_of_floats_are_counted_without_loss(divisor: int) -> None:
    x = images(10, 9, 11, high=17)
    data = from_arrays((x / divisor).astype(np.float32), levels=17, validation=0, test=0)
    assert data.spec.levels == 17
    assert torch.equal(data.train.gather(torch.arange(10)).x, torch.from_numpy(x).unsqueeze(1))


def test_scaled_eight_bit_images_are_read_back_exactly() -> None:
    x = images(3, 9, 11)
    preparation = Preparation((1, 9, 11), levels=256)
    assert torch.equal(prepare((x / 255).astype(np.float32), preparation, "x"), torch.from_numpy(x).unsqueeze(1))


def test_rows_are_standardized_by_the_training_rows_alone() -> None:
    x = np.random.default_rng(0).normal([5, -3, 0], [2, 0.1, 1], (200, 3))
    x[:, 2] = 4.0
    data = from_arrays(x)
    train = data.train.gather(torch.arange(len(data.train))).x.double()
    np.testing.assert_allclose(data.spec.mean, train.mean(0), rtol=1e-6)
    np.testing.assert_allclose(data.spec.scale[:2], train.std(0, correction=0)[:2], rtol=1e-6)
    assert data.spec.scale[2] == 1
    assert "constant in the training rows, so not scaled: 1 columns (2)" in data.remarks[0]


def test_float_images_have_one_mean_and_one_scale() -> None:
    x = np.random.default_rng(0).normal(3, 2, (30, 9, 11, 3))
    data = from_arrays(x, validation=0, test=0)
    np.testing.assert_allclose((*data.spec.mean, *data.spec.scale), (x.mean(), x.std()), rtol=1e-5)
    assert len(data.spec.mean) == len(data.spec.scale) == 1
    assert "taken as continuous" in data.remarks[0]


def test_columns_that_lose_digits_are_named() -> None:
    x = np.random.default_rng(0).normal(1e7, 3, (40, 2))
    assert any("lose digits in float32" in remark for remark in from_arrays(x).remarks)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.array([[1, None]], dtype=object), "expected a dtype of numbers.*got object"),
        (np.array([["a", "b"]]), "expected a dtype of numbers"),
        (np.array([[1 + 2j, 3]]), "got complex128"),
        (np.zeros((0, 4)), r"at least one row.*shape \(0, 4\)"),
        (np.zeros((4, 0)), r"shape \(4, 0\)"),
        (np.zeros(4), r"shape \(4,\)"),
        (np.float32(3), r"shape \(\)"),
        ([[1, 2], [3]], "rows of equal length"),
        (images(3, 7, 20), "at least 8×8 pixels, got 7×20"),
        (images(3, 20, 6, 3), "at least 8×8 pixels, got 20×6"),
        (images(3, 9, 9, 9), "expected rows"),
        (images(2, 3, 9, 9, 3), "expected rows"),
        (np.array([[1.0, np.nan], [2, 3]]), r"NaN or infinity in 1 of 2 rows, first in row 0 at \(1,\)"),
        (np.array([[1.0, 2], [np.inf, 3]]), "first in row 1"),
        (np.full((4, 2), 1e300), "as float32"),
        (np.full((4, 9, 9), 300), "expected the levels 0 to 255, got values from 300 to 300"),
        (np.full((4, 9, 9), -1), "got values from -1 to -1"),
    ],
)
def test_what_is_refused(x: Any, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        from_arrays(x, name="given")
    assert "given" in str(error.value)


@pytest.mark.parametrize(("x", "levels"), [(np.full((4, 9, 9), 0.3), 4), (np.full((4, 9, 9), 300), 4)])
def test_levels_that_do_not_fit(x: np.ndarray, levels: int) -> None:
    with pytest.raises(DataError, match="expected the levels 0 to 255"):
        from_arrays(x, levels=levels)


@pytest.mark.parametrize("given", [(9, 10), (2, 10, 9), (2, 3, 9, 10), (2, 91), (2, 1, 1, 9, 10)])
def test_other_shapes_are_named_beside_the_expected_one(given: tuple[int, ...]) -> None:
    preparation = Preparation((1, 9, 10), levels=256)
    if given == (9, 10):
        assert prepare(images(*given), preparation, "x").shape == (1, 1, 9, 10)
        return
    with pytest.raises(DataError) as error:
        prepare(images(*given), preparation, "here")
    assert "here: expected data of shape (n, 1, 9, 10)" in str(error.value)
    assert f"got {given}" in str(error.value)


@pytest.mark.parametrize("given", [(3, 9, 10), (9, 10, 3), (1, 3, 9, 10), (1, 9, 10, 3), (1, 270)])
def test_one_example_needs_no_row_axis(given: tuple[int, ...]) -> None:
    assert prepare(images(*given), Preparation((3, 9, 10), levels=256), "x").shape == (1, 3, 9, 10)


@given(st.integers(2, 256), st.integers(0, 255))
def test_reduced_levels_stay_in_range_and_in_order(levels: int, value: int) -> None:
    preparation = Preparation((2,), levels=levels, source_levels=256)
    x = prepare(np.array([[value, 255]]), preparation, "x")
    assert 0 <= x[0, 0] <= x[0, 1] == levels - 1


def test_lists_of_tensors_are_arrays() -> None:
    assert as_array([torch.zeros(3), torch.ones(3)], "x").shape == (2, 3)
    assert as_array(torch.ones(2, 3, dtype=torch.bfloat16, requires_grad=True), "x").dtype == np.float32


def test_read_only_arrays_are_taken() -> None:
    x = images(12, 9, 11)
    x.flags.writeable = False
    assert len(from_arrays(x).train) == 10


@pytest.mark.parametrize(
    ("labels", "numbers", "classes"),
    [
        ([2, 0, 1], [2, 0, 1], ("0", "1", "2")),
        ([1.0, -1.0, 0.0], [1, -1, 0], ("0", "1")),
        (["dog", "cat", "dog"], [1, 0, 1], ("cat", "dog")),
        (np.array(["b", "a", "b"], dtype=object), [1, 0, 1], ("a", "b")),
        (torch.tensor([[1], [0], [1]]), [1, 0, 1], ("0", "1")),
        (np.array([True, False, True]), [1, 0, 1], ("0", "1")),
    ],
)
def test_labels(labels: Any, numbers: list[int], classes: tuple[str, ...]) -> None:
    found, names = read_labels(labels, 3, (), "y")
    assert (found.tolist(), found.dtype, names) == (numbers, torch.int64, classes)


def test_unknown_class_names_are_unknown() -> None:
    assert read_labels(["dog", "yak"], 2, ("cat", "dog"), "y")[0].tolist() == [1, -1]


@pytest.mark.parametrize("labels", [[0, 1], [[0, 1], [1, 0], [0, 1]], [0.5, 1, 2], [-2, 0, 1], [np.nan, 1, 2], 3])
def test_labels_that_do_not_fit(labels: Any) -> None:
    with pytest.raises(DataError, match="y: expected"):
        read_labels(labels, 3, (), "y")


def test_levels_that_are_too_few_are_refused_where_one_value_would_be_left() -> None:
    x = np.arange(60).reshape(12, 5) % 12
    with pytest.raises(DataError, match="set levels to 12"):
        from_arrays(x, levels=8)
    with pytest.raises(DataError, match="set levels to 12"):
        from_arrays(x.astype(np.uint8), levels=4)


def test_a_reduction_of_levels_is_said() -> None:
    x = (np.arange(60).reshape(12, 5) * 4).astype(np.uint8)
    assert "data: values are reduced from 256 to 8 levels" in from_arrays(x, levels=8, name="data").remarks
    assert not from_arrays(x // 32, levels=8).remarks
