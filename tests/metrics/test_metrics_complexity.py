"""The lossless coder: its probabilities sum to one, plain images are cheap, and noise costs what it must."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch

from vaekit.core import Batch
from vaekit.errors import DataError
from vaekit.metrics.complexity import FLOOR, code_lengths, predict, probability

LEVELS = [2, 5, 17, 256]


def noise(levels: int, n: int = 3, channels: int = 1, size: tuple[int, int] = (30, 27)) -> torch.Tensor:
    return torch.randint(levels, (n, channels, *size), generator=torch.Generator().manual_seed(levels))


@pytest.mark.parametrize("scale", [1e-4, 0.03, 0.7, 3.0, 60.0, 1000.0])
@pytest.mark.parametrize("levels", LEVELS)
def test_probabilities_sum_to_one(levels: int, scale: float) -> None:
    x = np.arange(levels)
    for predicted in {0, 1, levels // 3, levels - 1}:
        found = probability(np.abs(x - predicted), np.full(levels, predicted), np.full(levels, scale), levels)
        assert found.sum() == pytest.approx(1, abs=1e-9)
        assert (found >= FLOOR / levels).all() and found.argmax() == predicted


def test_the_width_is_the_expected_residual() -> None:
    """Away from the limits, E|x − x̂| is `scale`."""
    x, middle = np.arange(401), 200
    for scale in (0.2, 1.0, 9.0):
        found = probability(np.abs(x - middle), np.full(401, middle), np.full(401, scale), 401)
        geometric = (found - FLOOR / 401) / (1 - FLOOR)
        assert (geometric * np.abs(x - middle)).sum() == pytest.approx(scale, rel=1e-6)


def test_predictions_by_hand() -> None:
    """The median edge detector on west, north, corner: a horizontal edge, a vertical one, a plane."""
    windows = np.array([[[0, 0, 0], [9, 0, 0]], [[9, 9, 9], [0, 0, 0]], [[2, 5, 5], [3, 0, 0]], [[5, 2, 2], [9, 0, 0]]])
    assert predict(windows, 1, 1)[0].tolist() == [9, 0, 5, 6]


@pytest.mark.parametrize("levels", LEVELS)
def test_black_images_are_cheap(levels: int) -> None:
    assert code_lengths(Batch(torch.zeros(2, 1, 30, 27)), levels).max() < 0.06 * 30 * 27


@pytest.mark.parametrize("levels", [64, 256])
def test_noise_costs_its_entropy(levels: int) -> None:
    bits = code_lengths(Batch(noise(levels)), levels) / (30 * 27)
    assert (bits > math.log2(levels)).all() and (bits < 1.08 * math.log2(levels)).all()


def test_binary_noise_costs_a_bit_and_some() -> None:
    """No coder can do with less; a third above it is what a coder of grey levels loses on two of them."""
    bits = code_lengths(Batch(noise(2)), 2) / (30 * 27)
    assert (bits > 1).all() and (bits < 1.4).all()


def test_intricate_images_cost_more_than_plain_ones() -> None:
    ramp = torch.arange(27).expand(30, 27) * 4
    drawn = torch.stack([torch.zeros(30, 27).long(), ramp, ramp + noise(9)[0, 0], noise(256)[0, 0]])[:, None]
    bits = code_lengths(Batch(drawn), 256).tolist()
    assert bits == sorted(bits) and all(later > 1.3 * earlier for earlier, later in pairwise(bits))


def test_colours_are_coded_one_after_the_other() -> None:
    x = noise(256, channels=3)
    each = [code_lengths(Batch(x[:, c : c + 1]), 256) for c in range(3)]
    torch.testing.assert_close(code_lengths(Batch(x), 256), sum(each), rtol=1e-12, atol=0)


def test_an_image_does_not_depend_on_those_beside_it() -> None:
    x = noise(17, n=4).to(torch.uint8)
    together = code_lengths(Batch(x), 17)
    alone = torch.cat([code_lengths(Batch(x[i : i + 1]), 17) for i in range(4)])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-9)
    assert len(set(together.tolist())) == 4


@pytest.mark.parametrize(
    ("x", "levels"),
    [(torch.zeros(3, 7), 256), (torch.zeros(3, 1, 8, 9), None), ({"a": torch.zeros(3, 1, 8, 9)}, 256)],
    ids=["rows", "continuous", "parts"],
)
def test_other_data_is_refused(x: torch.Tensor | dict[str, torch.Tensor], levels: int | None) -> None:
    with pytest.raises(DataError, match="need images with levels"):
        code_lengths(Batch(x), levels)
