"""The linear-Gaussian oracle: the bound is tight at the exact posterior, below log p(x) elsewhere, and closes with samples."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch
from oracle import exact_elbo, make_exact, oracle
from torch import Tensor
from torch.distributions import kl_divergence
from toys import NormalLikelihood, SitelessLikelihood, vae

from vaekit.core import Batch, Trace
from vaekit.model import VAE
from vaekit.objectives.elbo import Elbo

DATA, BATCH, SAMPLES = 5, 7, 4
SIZES = [(2,), (2, 3), (3, 1, 2)]


def estimate(values: Tensor) -> tuple[float, float]:
    """Mean and standard error of independent values (n,)."""
    return values.mean().item(), (values.std() / math.sqrt(len(values))).item()


@pytest.mark.parametrize("sizes", SIZES)
def test_the_bound_is_log_p_at_the_exact_posterior(sizes: tuple[int, ...]) -> None:
    model, x = vae(sizes, DATA), 2 * torch.randn(BATCH, DATA)
    p = make_exact(model)
    trace = model(Batch(x), samples=SAMPLES)
    log_ratio = trace.log_ratio()
    assert log_ratio.shape == (SAMPLES, BATCH)
    torch.testing.assert_close(log_ratio, p.log_p(x).expand(SAMPLES, BATCH), rtol=0, atol=1e-10)
    torch.testing.assert_close(trace.expect(log_ratio), p.log_p(x), rtol=0, atol=1e-10)
    torch.testing.assert_close(trace.log_mean_exp(log_ratio), p.log_p(x), rtol=0, atol=1e-10)


@pytest.mark.parametrize("sizes", SIZES)
def test_elsewhere_the_bound_is_below_by_the_divergence(sizes: tuple[int, ...]) -> None:
    model, x = vae(sizes, DATA), torch.randn(BATCH, DATA)
    exact, log_p = exact_elbo(model, x), oracle(model).log_p(x)
    assert (exact < log_p - 0.01).all()
    with torch.no_grad():
        trace = model(Batch(x), samples=20_000)
    for row, target in zip(trace.log_ratio().T, exact, strict=True):
        mean, error = estimate(row)
        assert abs(mean - target) < 4.5 * error
    bound = Elbo()(trace, step=0)  # with closed-form divergences
    per_sample = trace.log_likelihood().sum(-1) - sum(value.sum(-1) for value in trace.kl().values())
    mean, error = estimate(per_sample.mean(1))
    assert bound.terms["elbo"].item() == pytest.approx(mean, abs=1e-10)
    assert abs(mean - exact.mean()) < 4.5 * error
    assert -bound.loss.item() == pytest.approx(bound.terms["elbo"].item(), abs=1e-10)


def test_the_gap_is_the_divergence_from_the_true_posterior() -> None:
    model, x = vae((3,), DATA), torch.randn(BATCH, DATA)
    exact, log_p = exact_elbo(model, x), oracle(model).log_p(x)
    q = model(Batch(x)).latents[0].q
    wide = torch.distributions.MultivariateNormal(q.mean, scale_tril=torch.diag_embed(q.stddev))
    make_exact(model)
    divergence = kl_divergence(wide, model(Batch(x)).latents[0].q)
    torch.testing.assert_close(log_p - exact, divergence, rtol=0, atol=1e-10)


@pytest.mark.parametrize("sizes", SIZES)
def test_more_samples_close_the_gap_from_below(sizes: tuple[int, ...]) -> None:
    """Paired: the same 24,576 samples a datum, in groups of k."""
    model = vae(sizes, DATA)
    widen(model)
    counts = (1, 4, 16, 128, 1024)
    with torch.no_grad():
        x = model.generate(BATCH).sample()
        log_p = oracle(model).log_p(x).mean().item()
        log_ratio = model(Batch(x), samples=24 * counts[-1]).log_ratio()
    bounds = [grouped(log_ratio, k) for k in counts]  # (total / k,) each
    for values, k in zip(bounds, counts, strict=True):
        mean, error = estimate(values)
        assert mean < log_p + 4.5 * error, k
    for fewer, more in pairwise(bounds):
        gain, error = estimate(more - fewer.reshape(len(more), -1).mean(1))
        assert gain > 2 * error
    assert bounds[-1].mean().item() > log_p - 0.05


@torch.no_grad()
def widen(model: VAE) -> None:
    """Posteriors with tails no lighter than the prior's, a little moved by x: importance weights of bounded variance."""
    for group in model.groups.in_order():
        before = group.prior.mean.weight.shape[1]
        group.posterior.mean.weight[:, :before] = group.prior.mean.weight
        group.posterior.mean.weight[:, before:] *= 0.2
        group.posterior.mean.bias.copy_(group.prior.mean.bias)
        group.posterior.log_scale.copy_(group.prior.log_scale + 0.1)


def grouped(log_ratio: Tensor, k: int) -> Tensor:
    """(S, B) → the importance-weighted bound with k samples, averaged over the data, (S / k,)."""
    return (log_ratio.unflatten(0, (-1, k)).logsumexp(1) - math.log(k)).mean(1)


def test_the_importance_weighted_bound_of_a_trace_is_the_papers() -> None:
    model, x = vae((2, 3), DATA), torch.randn(BATCH, DATA)
    trace: Trace = model(Batch(x), samples=11)
    by_hand = torch.stack([row.exp().mean().log() for row in trace.log_ratio().T])  # one row a datum
    torch.testing.assert_close(trace.log_mean_exp(trace.log_ratio()), by_hand, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [NormalLikelihood, SitelessLikelihood])
@pytest.mark.parametrize("as_tensor", [False, True])
def test_densities_are_of_the_data_in_its_own_units(kind: type[NormalLikelihood], as_tensor: bool) -> None:
    """Scaled data loses log|scale| nats a dimension, with sites and without, and nothing else changes."""
    scale, x = 3.5, torch.randn(BATCH, DATA)
    model = VAE(*parts(kind, scale))
    batch = model.likelihood.prepare(Batch(x))
    if as_tensor:
        batch = Batch(batch.x, log_det=torch.full((DATA,), -math.log(scale)))
    trace = model(batch, samples=SAMPLES)
    own = trace.log_likelihood().reshape(SAMPLES, BATCH, -1).sum(-1)
    normal = trace.likelihood
    expected = torch.distributions.Normal(scale * normal.mean, scale * normal.stddev)
    reference = expected.log_prob(x.repeat(SAMPLES, 1)).sum(1).reshape(SAMPLES, BATCH)
    torch.testing.assert_close(own, reference, rtol=0, atol=1e-10)


def parts(
    kind: type[NormalLikelihood], scale: float
) -> tuple[torch.nn.Module, list[torch.nn.Module], NormalLikelihood]:
    plain = vae((2,), DATA)
    return plain.encoder, list(plain.groups.in_order()), kind((DATA,), 2, scale=scale)
