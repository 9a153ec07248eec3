"""Conformal p-values are valid, the threshold agrees with them, and false discoveries stay under control."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from vaekit.errors import ConfigError, DataError
from vaekit.metrics.conformal import cutoff, discoveries, p_values, threshold

SPLITS, CALIBRATION, FRESH = 200, 1000, 500


def normals(generator: torch.Generator, n: int) -> Tensor:
    """Scores of normal rows, far from any textbook distribution."""
    return torch.randn(n, generator=generator).exp() + 3 * torch.rand(n, generator=generator).round()


def test_p_values_by_hand() -> None:
    found = p_values(torch.tensor([5.0, 0.0, 2.0, 2.5, math.inf]), torch.tensor([1.0, 2.0, 3.0]))
    assert found.tolist() == [1 / 4, 4 / 4, 3 / 4, 2 / 4, 1 / 4]


def test_false_alarms_come_as_often_as_the_level_says() -> None:
    generator = torch.Generator().manual_seed(0)
    for level in (0.05, 0.2):
        rates = []
        for _ in range(SPLITS):
            calibration, fresh = normals(generator, CALIBRATION), normals(generator, FRESH)
            alarms = p_values(fresh, calibration) <= level
            assert torch.equal(alarms, fresh > threshold(calibration, level))
            rates.append(alarms.double().mean().item())
        assert sum(rates) / SPLITS == pytest.approx(level, abs=0.005)


def test_false_discoveries_stay_below_the_level() -> None:
    generator = torch.Generator().manual_seed(1)
    level, shares, found = 0.1, [], 0
    for _ in range(SPLITS):
        calibration = normals(generator, CALIBRATION)
        scores = torch.cat([normals(generator, FRESH), 30 + 4 * torch.randn(50, generator=generator)])
        rejected = discoveries(p_values(scores, calibration), level)
        false = int(rejected[:FRESH].sum())
        shares.append(false / max(1, int(rejected.sum())))
        found += int(rejected[FRESH:].sum())
    proportions = torch.tensor(shares)
    assert proportions.mean() <= level + 2 * proportions.std() / math.sqrt(SPLITS)
    assert found > 0.5 * 50 * SPLITS, "and most of the abnormal rows are found"


def test_discoveries_by_hand() -> None:
    p = torch.tensor([0.041, 0.001, 0.8, 0.008, 0.039, 0.3])
    assert discoveries(p, 0.05).tolist() == [False, True, False, True, False, False]
    assert discoveries(p, 0.0999).tolist() == [True, True, False, True, True, False]
    assert not discoveries(torch.full((4,), 0.9), 0.1).any() and len(discoveries(torch.zeros(0), 0.1)) == 0


def test_too_few_rows_for_a_level_give_no_alarm() -> None:
    assert threshold(torch.arange(9.0), 0.05) == math.inf
    assert threshold(torch.arange(19.0), 0.05) == 18.0
    assert (p_values(torch.tensor([1e9]), torch.arange(9.0)) > 0.05).all()


def test_what_is_refused() -> None:
    with pytest.raises(DataError, match="expected at least one row"):
        p_values(torch.ones(2), torch.zeros(0))
    with pytest.raises(DataError, match="NaN"):
        p_values(torch.tensor([math.nan]), torch.ones(3))
    for level in (0.0, 1.0, -0.1, math.nan):
        with pytest.raises(ConfigError, match="between 0 and 1"):
            discoveries(torch.ones(3), level)
        with pytest.raises(ConfigError, match="between 0 and 1"):
            threshold(torch.ones(3), level)


@pytest.mark.parametrize("seed", range(8))
def test_the_cutoff_in_pieces_is_the_procedure_by_the_book(seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    calibration = normals(generator, 199)
    scores = torch.cat([normals(generator, 140), normals(generator, 37) + 40 * (seed % 4)])
    p, level = p_values(scores, calibration)[torch.randperm(177, generator=generator)], (0.05, 0.1, 0.3)[seed % 3]
    ranked = p.sort().values
    passed = ranked <= level * torch.arange(1, 178, dtype=torch.float64) / 177
    expected = ranked[passed][-1].item() if passed.any() else -1.0
    pieces = p.split([1, 80, 0, 3, 93])
    assert cutoff(pieces, level) == cutoff(iter([p]), level) == expected
    assert torch.equal(discoveries(p, level), p <= expected)
    assert (expected > 0) is (seed % 4 > 0), "where something was planted, it is found"


def test_no_cutoff_where_nothing_is_rejected() -> None:
    assert cutoff([torch.full((4,), 0.9), torch.full((3,), 0.2)], 0.1) == -1
    assert cutoff([], 0.1) == cutoff([torch.zeros(0)], 0.1) == -1
    with pytest.raises(ConfigError, match="level: expected a number between 0 and 1, got 1"):
        cutoff([torch.ones(3)], 1)
