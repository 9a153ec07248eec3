"""Values that were not observed: the bound is of log p(x_observed), and what lies under the mask has no say."""

from __future__ import annotations

import math

import pytest
import torch
from oracle import exact_elbo, make_exact, oracle
from torch import Tensor, nn
from toys import NormalLikelihood, NormalPosterior, NormalPrior, SitelessLikelihood, gradients, vae

from vaekit.core import Batch
from vaekit.errors import DataError
from vaekit.model import VAE, Encoder, Group
from vaekit.objectives.elbo import Elbo

DATA, BATCH, SAMPLES = 5, 7, 4


def holes(*shape: int) -> Tensor:
    """A mask with something missing and something observed in (almost) every row."""
    return (torch.rand(*shape) < 0.6).double()


@pytest.mark.parametrize("sizes", [(2,), (2, 3)])
def test_the_bound_is_log_p_of_what_was_observed(sizes: tuple[int, ...]) -> None:
    model = vae(sizes, DATA, encoder=Encoder(nn.Identity(), masked=True))
    p, x, mask = make_exact(model), torch.randn(BATCH, DATA), holes(BATCH, DATA)
    mask[0], mask[1] = 0, 1
    batch = model.likelihood.prepare(Batch(torch.where(mask.bool(), x, math.nan), mask=mask))
    trace = model(batch, samples=SAMPLES)
    log_p = p.log_p(x, mask)
    assert log_p[0].abs() < 1e-12  # nothing was observed
    torch.testing.assert_close(log_p[1], p.log_p(x[1:2])[0], rtol=0, atol=1e-12)
    torch.testing.assert_close(trace.log_ratio(), log_p.expand(SAMPLES, BATCH), rtol=0, atol=1e-10)
    torch.testing.assert_close(trace.log_mean_exp(trace.log_ratio()), log_p, rtol=0, atol=1e-10)


def image_model(channels: int, height: int, width: int) -> VAE:
    size = channels * height * width
    groups = [
        Group("z1", NormalPrior(2), NormalPosterior(2, 2 * size)),
        Group("z2", NormalPrior(3, 2), NormalPosterior(3, 2 + 2 * size)),
    ]
    return VAE(Encoder(nn.Identity(), masked=True), groups, NormalLikelihood((channels, height, width), 5))


@pytest.mark.parametrize("channels_of_mask", [1, 2])
@pytest.mark.parametrize("dtype", [torch.bool, torch.float64, torch.uint8])
def test_nothing_under_the_mask_matters(channels_of_mask: int, dtype: torch.dtype) -> None:
    """NaN, ∞ or any number there: the same loss and the same finite gradients, to the bit."""
    model, x = image_model(2, 3, 4), torch.randn(BATCH, 2, 3, 4)
    mask = holes(BATCH, channels_of_mask, 3, 4).to(dtype)
    results = []
    for filling in (math.nan, math.inf, 1e6, 0.0):
        torch.manual_seed(1)
        model.zero_grad()
        raw = torch.where(mask.bool().expand_as(x), x, filling)
        trace = model(model.likelihood.prepare(Batch(raw, mask=mask)), samples=3)
        loss = Elbo()(trace, step=0).loss - trace.log_mean_exp(trace.log_ratio()).mean()
        loss.backward()
        results.append([loss, *gradients(model).values()])
        per_site = trace.log_likelihood()
        assert per_site.shape == (3, BATCH, 2, 3, 4)
        assert (per_site == 0).equal(~mask.bool().expand(3, BATCH, 2, 3, 4))
    assert all(torch.isfinite(value).all() and value.any() for value in results[0])
    for other in results[1:]:
        assert all(torch.equal(one, two) for one, two in zip(results[0], other, strict=True))


def test_what_was_not_filled_is_kept_out_of_evidence_and_scores() -> None:
    """NaN that a likelihood's preparation left in place is neither encoded nor scored."""
    mask = holes(BATCH, DATA)
    x = torch.where(mask.bool(), torch.randn(BATCH, DATA), math.nan)
    evidence = Encoder(nn.Identity(), masked=True)(Batch(x, mask=mask))
    assert torch.equal(evidence, torch.cat([x.nan_to_num(), mask], 1))
    model = vae((2,), DATA, encoder=Encoder(nn.Linear(2 * DATA, DATA), masked=True))
    values = model(Batch(x, mask=mask), samples=SAMPLES).log_likelihood()
    assert torch.equal(values != 0, mask.bool().expand(SAMPLES, -1, -1)) and torch.isfinite(values).all()


def test_complete_data_is_a_mask_of_ones() -> None:
    model, x = image_model(2, 3, 4), torch.randn(BATCH, 2, 3, 4)
    bounds = []
    for mask in (None, torch.ones(BATCH, 1, 3, 4)):
        torch.manual_seed(1)
        bounds.append(model(Batch(x, mask=mask), samples=2).log_ratio())
    assert torch.equal(*bounds)


def test_an_encoder_that_knows_no_masks_gives_a_bound_all_the_same() -> None:
    model, x, mask = vae((2,), DATA), torch.randn(BATCH, DATA), holes(BATCH, DATA)
    p = oracle(model)
    batch = model.likelihood.prepare(Batch(torch.where(mask.bool(), x, math.nan), mask=mask))
    with torch.no_grad():
        trace = model(batch, samples=20_000)
    bound = trace.expect(trace.log_likelihood().sum(-1)) - trace.kl()["z1"].sum(-1).mean(0)
    assert (bound < p.log_p(x, mask) - 0.01).all()
    full = model.likelihood.prepare(Batch(x))
    assert (exact_elbo(model, x) < p.log_p(x)).all() and full.mask is None


@pytest.mark.parametrize("mask_shape", [(BATCH, DATA), (BATCH, 1), (BATCH,)])
def test_a_distribution_without_sites_refuses_a_mask(mask_shape: tuple[int, ...]) -> None:
    plain = vae((2,), DATA)
    model = VAE(plain.encoder, list(plain.groups.in_order()), SitelessLikelihood((DATA,), 2))
    x = torch.randn(BATCH, DATA)
    assert model(Batch(x), samples=2).log_likelihood().shape == (2, BATCH)
    trace = model(Batch(x, mask=torch.ones(mask_shape)), samples=2)
    with pytest.raises(DataError, match="fix: use a factorized likelihood"):
        trace.log_likelihood()


@pytest.mark.parametrize("mask_shape", [(BATCH, DATA - 1), (BATCH, DATA, 1), (BATCH,)])
def test_a_mask_of_another_shape_is_refused(mask_shape: tuple[int, ...]) -> None:
    trace = vae((2,), DATA)(Batch(torch.randn(BATCH, DATA), mask=torch.ones(mask_shape)))
    with pytest.raises(DataError, match=rf"the likelihood \({DATA},\)"):
        trace.log_likelihood()
