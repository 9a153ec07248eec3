"""The record: expectations over samples, weights, and what is asked of distributions of other shapes."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal, Normal
from toys import NormalLikelihood, NormalPosterior, NormalPrior, SitelessLikelihood, vae

from vaekit.core import Batch, Given, Latent, Posterior, Proposal, Trace, each, full, repeat, sum_sites
from vaekit.model import VAE, Encoder, Group
from vaekit.objectives.elbo import Elbo

SAMPLES, BATCH, DATA = 4, 7, 5


def record(samples: int = SAMPLES, log_weight: Tensor | None = None) -> Trace:
    x = torch.randn(BATCH, DATA)
    likelihood = Normal(torch.randn(samples * BATCH, DATA), 1.0)
    return Trace(Batch(x), [], likelihood, samples, log_weight)


# --- expectations ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sites", [(), (3,), (2, 3)])
def test_expect_averages_over_samples_and_nothing_else(sites: tuple[int, ...]) -> None:
    values = torch.randn(SAMPLES, BATCH, *sites)
    assert torch.equal(record().expect(values), values.mean(0))
    assert torch.equal(record(1).expect(values[:1]), values[0])
    weight = torch.randn(SAMPLES, BATCH).softmax(0)
    by_hand = torch.stack([sum(weight[s, b] * values[s, b] for s in range(SAMPLES)) for b in range(BATCH)])
    torch.testing.assert_close(record(log_weight=weight.log()).expect(values), by_hand, rtol=0, atol=1e-12)


def test_weights_are_normalised_over_samples_not_over_the_batch() -> None:
    """A published bound divides by the other axis. An expectation of a constant is that constant, for every datum."""
    constant = torch.full((SAMPLES, BATCH), 2.5)
    for log_weight in (None, torch.randn(SAMPLES, BATCH).log_softmax(0)):
        trace = record(log_weight=log_weight)
        torch.testing.assert_close(trace.expect(constant), torch.full((BATCH,), 2.5), rtol=0, atol=1e-12)
        torch.testing.assert_close(trace.log_mean_exp(constant), torch.full((BATCH,), 2.5), rtol=0, atol=1e-12)


def test_one_datum_has_no_say_in_anothers_bound() -> None:
    values = torch.randn(SAMPLES, BATCH, requires_grad=True)
    record().log_mean_exp(values)[2].backward()
    assert values.grad.any(0).tolist() == [b == 2 for b in range(BATCH)]


def test_the_best_sample_has_the_largest_weight() -> None:
    """The gradient of the importance-weighted bound is the normalized weights: it rises with the log-ratio."""
    values = (3 * torch.randn(SAMPLES, BATCH)).requires_grad_()
    record().log_mean_exp(values).sum().backward()
    torch.testing.assert_close(values.grad, values.detach().softmax(0), rtol=0, atol=1e-12)
    assert torch.equal(values.grad.argsort(0), values.detach().argsort(0))


def test_log_mean_exp_does_not_overflow() -> None:
    values = torch.tensor([[-2000.0, 900.0], [-2001.0, 905.0], [-1999.0, 910.0]])
    trace = Trace(Batch(torch.zeros(2, 1)), [], Normal(0.0, 1.0), 3)
    shifted = (values - values.max(0).values).exp().mean(0).log() + values.max(0).values
    torch.testing.assert_close(trace.log_mean_exp(values), shifted, rtol=0, atol=1e-10)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_what_has_no_weight_has_no_say(value: float) -> None:
    """log 0 in the weight, and anything in the value: no NaN, neither in the expectation nor in a gradient."""
    scores = torch.randn(SAMPLES, BATCH, requires_grad=True)
    possible = torch.ones(SAMPLES, BATCH, dtype=torch.bool)
    possible[1, 2:] = possible[3, 0] = False
    log_weight = torch.where(possible, scores, -math.inf).log_softmax(0)
    free = torch.randn(SAMPLES, BATCH, requires_grad=True)
    values = torch.where(possible, free, value)
    trace = record(log_weight=log_weight)
    weight = torch.where(possible, scores.detach(), -math.inf).softmax(0)
    expected = (weight * torch.where(possible, free, 0.0)).sum(0)
    torch.testing.assert_close(trace.expect(values), expected, rtol=0, atol=1e-12)
    in_log = (weight * torch.where(possible, free, 0.0).exp()).sum(0).log()
    torch.testing.assert_close(trace.log_mean_exp(values), in_log, rtol=0, atol=1e-12)
    (trace.expect(values).sum() + trace.log_mean_exp(values).sum()).backward()
    for leaf in (scores, free):
        assert torch.isfinite(leaf.grad).all()
        assert torch.equal(leaf.grad != 0, possible)


def test_a_broken_weight_is_not_hidden() -> None:
    """A diverged model must be seen: NaN weights give NaN."""
    log_weight = torch.zeros(SAMPLES, BATCH) - math.log(SAMPLES)
    log_weight[1, 3] = math.nan
    trace = record(log_weight=log_weight)
    for reduced in (trace.expect(torch.ones(SAMPLES, BATCH)), trace.log_mean_exp(torch.ones(SAMPLES, BATCH))):
        assert reduced.isnan().tolist() == [b == 3 for b in range(BATCH)]


# --- shapes ----------------------------------------------------------------------------------------------------------


def test_rows_are_sample_major() -> None:
    rows = repeat({"a": [torch.arange(BATCH), None], "b": (torch.arange(BATCH)[:, None],)}, SAMPLES)
    assert torch.equal(record().rows_to_samples(rows["a"][0]), torch.arange(BATCH).expand(SAMPLES, BATCH))
    assert rows["a"][1] is None and isinstance(rows["b"], tuple)
    assert torch.equal(record().rows_to_samples(rows["b"][0])[:, :, 0], torch.arange(BATCH).expand(SAMPLES, BATCH))
    unchanged = [torch.zeros(2)]
    assert repeat(unchanged, 1) is unchanged
    assert each(torch.neg, "text") == "text"


def test_sites_are_summed_to_the_right_of_what_is_kept() -> None:
    values = torch.randn(SAMPLES, BATCH, 3, 2)
    torch.testing.assert_close(sum_sites(values), values.sum((2, 3)))
    torch.testing.assert_close(sum_sites(values, keep=3), values.sum(3))
    assert sum_sites(values[..., 0, 0]).shape == (SAMPLES, BATCH)


def test_only_half_precision_is_cast() -> None:
    for dtype in (torch.bfloat16, torch.float16, torch.float32):
        assert full(torch.zeros(2, dtype=dtype)).dtype == torch.float32
    assert full(torch.zeros(2)).dtype == torch.float64


class Wide(Posterior):
    """A full covariance: no sites, over a prior that has them."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.inner = NormalPosterior(size, DATA)
        self.factor = nn.Parameter(0.5 * torch.randn(size, size).tril(-1) + torch.eye(size))

    def forward(self, given: Given) -> Proposal:
        return Proposal(MultivariateNormal(self.inner(given).q.mean, scale_tril=self.factor.tril()))


@pytest.mark.parametrize("rows", [3, BATCH])
def test_a_posterior_without_sites_over_a_prior_with_them(rows: int) -> None:
    """The sampled divergence is per row: nothing is broadcast, even where rows = sites."""
    model = VAE(Encoder(nn.Identity()), [Group("z", NormalPrior(3), Wide(3))], NormalLikelihood((DATA,), 3))
    trace = model(Batch(torch.randn(rows, DATA)), samples=SAMPLES)
    kl = trace.kl()["z"]
    latent = trace.latents[0]
    assert kl.shape == (SAMPLES, rows)
    by_hand = latent.q.log_prob(latent.z) - latent.p.log_prob(latent.z).sum(1)
    torch.testing.assert_close(kl, by_hand.reshape(SAMPLES, rows), rtol=0, atol=1e-12)
    bound = Elbo(free_bits=0.01)(trace, step=0)
    torch.testing.assert_close(bound.terms["elbo"], trace.expect(trace.log_ratio()).mean(), rtol=0, atol=1e-12)


def test_with_sites_and_without_are_the_same_density() -> None:
    plain = vae((2,), DATA)
    whole = VAE(plain.encoder, list(plain.groups.in_order()), SitelessLikelihood((DATA,), 2))
    whole.load_state_dict(plain.state_dict())
    x, bounds = torch.randn(BATCH, DATA), []
    for model in (plain, whole):
        torch.manual_seed(1)
        bounds.append(Elbo()(model(Batch(x), samples=SAMPLES), step=0).loss)
    torch.testing.assert_close(*bounds, rtol=0, atol=1e-12)


def test_a_registered_divergence_is_the_expected_log_ratio() -> None:
    trace = vae((2, 3), DATA)(Batch(torch.randn(BATCH, DATA)), samples=40_000)
    for latent in trace.latents:
        difference = trace.rows_to_samples(latent.sampled_kl()) - trace.kl()[latent.name]  # (S, B, sites)
        assert (difference.mean(0).abs() < 5 * difference.std(0) / 200).all()


def test_records_say_what_they_lack() -> None:
    latent = Latent("z", torch.zeros(BATCH, 2), Normal(torch.zeros(BATCH, 2), 1.0))
    with pytest.raises(AssertionError, match="group 'z' was not inferred"):
        latent.kl()
    with pytest.raises(AssertionError, match="group 'z' was not inferred"):
        latent.log_q()


def test_a_prior_with_the_wrong_rows_is_caught() -> None:
    """A distribution for B rows where S·B are asked for must not be broadcast silently."""

    class Forgetful(NormalPosterior):
        def forward(self, given: Given) -> Proposal:
            q = super().forward(given).q
            return Proposal(Normal(q.mean[:BATCH], q.stddev[:BATCH]))

    model = VAE(Encoder(nn.Identity()), [Group("z", NormalPrior(2), Forgetful(2, DATA))], NormalLikelihood((DATA,), 2))
    with pytest.raises((RuntimeError, ValueError), match=r"shape|size"):
        model(Batch(torch.randn(BATCH, DATA)), samples=SAMPLES).log_ratio()
