"""Error bars, units, memory and the fast linear layers."""

from __future__ import annotations

import math

import pytest
import torch
from linear_model import binary_model, grey_rows
from torch import nn

from vaekit.core import DataSpec
from vaekit.engine.memory import largest_output, rows_at_once
from vaekit.metrics import Estimate, active_units, bits_per_dimension, effective_dimensions, measure
from vaekit.metrics.estimate import Moments


def test_the_standard_error_is_s_over_root_n() -> None:
    values = torch.randn(37, generator=torch.Generator().manual_seed(1)) * 5 + 2
    found = Estimate.of(values)
    mean = sum(values.tolist()) / 37
    variance = sum((value - mean) ** 2 for value in values.tolist()) / 36
    assert (
        found.n == 37 and found.mean == pytest.approx(mean) and found.stderr == pytest.approx(math.sqrt(variance / 37))
    )
    alone = Estimate.of(torch.tensor([4.0]))
    assert alone.mean == 4 and math.isnan(alone.stderr) and alone.n == 1


def test_the_standard_error_covers_the_truth_as_often_as_it_should() -> None:
    draws = torch.randn(2_000, 50, generator=torch.Generator().manual_seed(2)).exp()
    estimates = [Estimate.of(values) for values in draws]
    covered = sum(abs(estimate.mean - math.exp(0.5)) < 1.96 * estimate.stderr for estimate in estimates) / 2_000
    assert 0.86 < covered < 0.96  # 95 % for normal data; skewed data comes near


def test_bits_per_dimension_of_a_uniform_model_are_the_bits_of_a_level() -> None:
    spec = DataSpec(shape=(3, 4, 5), levels=256)
    uniform = Estimate(-60 * math.log(256), 6.0, 8)
    bits = bits_per_dimension(uniform, spec)
    assert bits.mean == pytest.approx(8) and bits.stderr == pytest.approx(6 / (60 * math.log(2))) and bits.n == 8


@pytest.mark.parametrize(
    ("estimate", "shown"),
    [
        (Estimate(-86.4123, 0.0231, 9), "-86.412 ± 0.023"),
        (Estimate(-8612.3, 17.2, 9), "-8612 ± 17"),
        (Estimate(3.0, math.nan, 1), "3"),
    ],
)
def test_figures_are_shown_with_the_digits_they_deserve(estimate: Estimate, shown: str) -> None:
    assert str(estimate) == shown


def test_moments_of_pieces_are_those_of_the_whole() -> None:
    values = torch.randn(31, 2, 3, generator=torch.Generator().manual_seed(3)) + 1e4
    moments = Moments()
    for piece in values.split([1, 4, 20, 6]):
        moments.add(piece)
    torch.testing.assert_close(moments.mean, values.double().mean(0))
    torch.testing.assert_close(moments.variance(), values.double().var(0))


def test_units_are_active_where_the_centre_moves() -> None:
    variances = {"a": torch.tensor([0.5, 0.009]), "b": torch.tensor([[0.011, 0.0]])}
    assert active_units(variances) == 2
    assert effective_dimensions({"a": torch.tensor([1.0, 0.0]), "b": torch.tensor([[1.0, 2.0]])}) == pytest.approx(
        2**1.5
    )
    assert effective_dimensions({"a": torch.zeros(3)}) == 0


def test_a_collapsed_posterior_has_no_active_unit_and_no_kl() -> None:
    model = binary_model()
    head = model.groups["z0"].posterior.head.layer  # type: ignore[union-attr]
    head.weight.zero_()  # type: ignore[operator, union-attr]
    head.bias.zero_()  # type: ignore[operator, union-attr]
    found = measure(model, grey_rows(30), 2)
    assert found.kl.mean == pytest.approx(0, abs=1e-6) and active_units(found.variances) == 0


def test_the_number_of_rows_follows_from_the_largest_output() -> None:
    net = nn.Sequential(nn.Linear(3, 1_000_000), nn.Linear(1_000_000, 2))
    assert largest_output(net, lambda: net(torch.zeros(1, 3))) == 4_000_000
    rows = rows_at_once(net, lambda: net(torch.zeros(1, 3)), torch.device("cpu"))
    assert rows >= 1 and 8 * rows * 4_000_000 <= 64 * 2**20
    assert rows_at_once(net[1], lambda: net(torch.zeros(1, 3)), torch.device("cpu")) == 2048
    assert not any(part._forward_hooks for part in net.modules())


def test_progress_counts_every_row_once() -> None:
    seen: list[tuple[int, int]] = []
    measure(binary_model(), grey_rows(30), 100, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (30, 30) and [done for done, _ in seen] == sorted({done for done, _ in seen})
