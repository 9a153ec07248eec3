"""Bounds: tight at the exact posterior, rising with K, never above log p(x), whatever the pieces they are computed in."""

from __future__ import annotations

import math

import pytest
import torch
from linear_model import D, binary_model, grey_rows, linear

from vaekit.core import Batch
from vaekit.metrics import bits_per_dimension, measure, score
from vaekit.metrics import bounds as module
from vaekit.metrics.bounds import Part, join, pieces
from vaekit.metrics.prepare import chunks, prepared
from vaekit.model import VAE


def batch_of(model: VAE, n: int) -> Batch:
    return prepared(model.likelihood, linear().rows(n).gather(torch.arange(n)), 0)


def test_bounds_are_tight_at_the_exact_posterior() -> None:
    oracle = linear()
    x = oracle.rows(11).x
    scores = score(oracle.model(), batch_of(oracle.model(), 11), 6, rows=30)
    torch.testing.assert_close(scores.importance_weighted.double(), oracle.log_p(x), rtol=0, atol=2e-4)
    torch.testing.assert_close(scores.effective_samples, torch.full((11,), 6.0), rtol=1e-3, atol=0)
    average = score(oracle.model(), batch_of(oracle.model(), 11), 20_000, rows=4_000).elbo.double()
    torch.testing.assert_close(average, oracle.log_p(x), rtol=0, atol=0.1)


def test_the_importance_weighted_bound_rises_with_samples_and_stays_below_the_likelihood() -> None:
    oracle = linear()
    model, rows = oracle.model(error=0.35), oracle.rows(300)
    truth = oracle.log_p(rows.x).mean().item()
    found = [measure(model, rows, samples, seed=3) for samples in (1, 4, 32, 512)]
    values = [measures.importance_weighted.mean for measures in found]
    assert found[0].elbo.mean < truth - 0.5, "the posterior is far from exact"
    assert values == sorted(values)
    assert values[-1] < truth + 3 * found[-1].importance_weighted.stderr
    assert abs(values[-1] - truth) < 0.02, "512 samples are nearly enough here"
    assert all(measures.importance_weighted.mean >= measures.elbo.mean - 0.05 for measures in found)


def test_running_averages_equal_those_of_all_samples_at_once() -> None:
    torch.manual_seed(0)
    ratios, scores = torch.randn(10, 3) * 40 - 900, torch.randn(10, 3)
    cut = [slice(0, 4), slice(4, 8), slice(8, 10)]
    parts = [
        Part(
            samples=len(ratios[piece]),
            log_likelihood=scores[piece].mean(0),
            kl={"z": scores[piece].mean(0)[:, None]},
            log_weight=ratios[piece].logsumexp(0) - math.log(len(ratios[piece])),
            log_square=(2 * ratios[piece]).logsumexp(0) - math.log(len(ratios[piece])),
        )
        for piece in cut
    ]
    found = join(parts)
    torch.testing.assert_close(found.importance_weighted, ratios.logsumexp(0) - math.log(10))
    torch.testing.assert_close(found.log_likelihood, scores.mean(0))
    torch.testing.assert_close(found.kl["z"], scores.mean(0)[:, None])
    weights = ratios.double().softmax(0)
    torch.testing.assert_close(found.effective_samples.double(), 1 / weights.square().sum(0), rtol=1e-3, atol=0)


def test_no_pass_is_larger_than_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    model = binary_model()
    seen: list[int] = []
    model.likelihood.register_forward_hook(lambda part, given, output: seen.append(given[0].rows))
    batch = prepared(model.likelihood, grey_rows(3).gather(torch.arange(3)), 0)
    score(model, batch, 50, rows=36)
    assert seen == [36, 36, 36, 36, 6] and sum(seen) == 3 * 50
    assert list(pieces(50, 36 // 3)) == [12, 12, 12, 12, 2]
    assert module.examples_at_once(50, 36) == 1 and module.examples_at_once(5, 36) == 7


def test_scaling_the_data_moves_figures_by_the_determinant_alone() -> None:
    here, there = linear(), linear(scale=25.0)
    found = [measure(oracle.model(0.2), oracle.rows(40), 16, seed=1) for oracle in (here, there)]
    assert found[1].elbo.mean == pytest.approx(found[0].elbo.mean - D * math.log(25), abs=1e-3)
    gap = found[0].importance_weighted.mean - found[1].importance_weighted.mean
    assert gap == pytest.approx(D * math.log(25), abs=1e-3)
    bits = [bits_per_dimension(m.elbo, oracle.spec).mean for m, oracle in zip(found, (here, there), strict=True)]
    assert bits[1] - bits[0] == pytest.approx(math.log2(25), abs=1e-4)
    assert found[0].kl.mean == pytest.approx(found[1].kl.mean, abs=1e-4)


def test_several_groups_are_measured_by_name() -> None:
    model, rows = binary_model(latents=(2, 3)), grey_rows(40)
    found = measure(model, rows, 5)
    assert list(found.kl_per_group) == ["z0", "z1"]
    assert {name: tuple(kl.shape) for name, kl in found.kl_per_dimension.items()} == {"z0": (2,), "z1": (3,)}
    assert sum(estimate.mean for estimate in found.kl_per_group.values()) == pytest.approx(found.kl.mean, rel=1e-5)
    assert found.elbo.mean == pytest.approx(found.log_likelihood.mean - found.kl.mean, rel=1e-5)
    assert sum(kl.sum().item() for kl in found.kl_per_dimension.values()) == pytest.approx(found.kl.mean, rel=1e-5)


def test_figures_are_those_of_the_plain_formula() -> None:
    model, rows = binary_model(), grey_rows(25)
    found = measure(model, rows, 2_000, seed=9)
    ratios = model(next(chunks(model, rows, 9)).batch, samples=2_000).log_ratio()  # (S, B)
    assert found.elbo.n == 25
    assert found.elbo.mean == pytest.approx(ratios.mean().item(), abs=0.3)
    bound = (ratios.logsumexp(0) - math.log(2_000)).mean().item()
    assert found.importance_weighted.mean == pytest.approx(bound, abs=0.3)
    shares = ratios.softmax(0).square().sum(0).reciprocal().mean().item()
    assert found.effective_samples.mean == pytest.approx(shares, rel=0.3)
