"""Likelihood regret is the gap between the encoder's posterior and the best one, and leaves everything as it was."""

from __future__ import annotations

import pytest
import torch
from linear_model import binary_model, grey_rows, linear
from torch import Tensor
from torch.distributions import Laplace, Normal, kl_divergence

from vaekit.core import Batch, Given, Posterior, Proposal
from vaekit.errors import DataError
from vaekit.metrics import centred
from vaekit.metrics import regret as module
from vaekit.metrics.prepare import prepared
from vaekit.model import VAE, Encoder, Group
from vaekit.priors.standard import Standard

N = 9


def batch_of(model: VAE) -> Batch:
    return prepared(model.likelihood, linear().rows(N).gather(torch.arange(N)), 0)


def posterior_of(model: VAE) -> Normal:
    q = centred(model, batch_of(model)).latents[0].q
    assert q is not None
    return Normal(q.mean, q.stddev)


@pytest.mark.parametrize("error", [0.0, 0.2, 0.4])
def test_it_is_the_distance_from_the_exact_posterior(error: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """ELBO(best) − ELBO(q) = KL[q ‖ p(z | x)] where the best is exact.

    The two draws ±1 have the mean and the variance of all draws: with orthogonal factors they give the expectation itself.
    """
    elbo, signs = module.elbo, torch.tensor([[1.0], [-1.0]]).double()

    def without_noise(model: VAE, batch: Batch, free: list[Tensor], noise: list[Tensor]) -> Tensor:
        return elbo(model, batch, free, [torch.ones_like(value).double() * signs for value in noise])

    monkeypatch.setattr(module, "DRAWS", 2)
    monkeypatch.setattr(module, "elbo", without_noise)
    exact, model = linear().model().double(), linear().model(error).double()
    gap = kl_divergence(posterior_of(model), posterior_of(exact)).sum(1)
    assert error == 0 or (gap > 0.3).all()
    torch.testing.assert_close(module.regret(model, batch_of(model)), gap, rtol=1e-3, atol=1e-4)


def test_few_draws_flatter_the_best_posterior_by_a_little() -> None:
    exact, wrong = (linear().model(error).double() for error in (0.0, 0.4))
    found = [module.regret(model, batch_of(model)) for model in (exact, wrong)]
    assert (found[0] >= 0).all() and (found[0] < 0.6).all(), "0 but for the noise of 4 draws"
    assert (found[1] > found[0] + 1).all()


def test_it_is_never_negative_and_rises_with_the_steps() -> None:
    model = binary_model(latents=(2, 3))
    batch = prepared(model.likelihood, grey_rows(N).gather(torch.arange(N)), 0)
    found = [module.regret(model, batch, steps) for steps in (0, 3, 20)]
    assert not found[0].any() and (found[1] >= 0).all()
    assert (found[2] >= found[1]).all() and (found[2] > found[1] + 0.01).any()


def test_a_search_that_runs_away_keeps_the_best(monkeypatch: pytest.MonkeyPatch) -> None:
    model = linear().model(0.4).double()
    slow = module.regret(model, batch_of(model), 40)
    monkeypatch.setattr(module, "RATE", 4.0)
    found = [module.regret(model, batch_of(model), steps) for steps in (1, 2, 9)]
    assert (found[0] == 0).all(), "one step of this length leads astray"
    assert (found[2] >= found[1]).all() and (found[1] >= found[0]).all() and (found[2] < slow).all()


def test_a_row_does_not_depend_on_those_beside_it() -> None:
    model = linear().model(0.3).double()
    batch = batch_of(model)
    assert isinstance(batch.x, Tensor)
    alone = module.regret(model, Batch(batch.x[4:5], log_det=batch.log_det), 10)
    torch.testing.assert_close(alone, module.regret(model, batch, 10)[4:5], rtol=0, atol=1e-9)


def test_it_leaves_everything_as_it_was() -> None:
    model = linear().model(0.3).requires_grad_(True)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    random = torch.get_rng_state()
    with torch.no_grad():
        found = module.regret(model, batch_of(model), 5)
    assert not found.requires_grad
    assert torch.equal(torch.get_rng_state(), random)
    for name, value in model.named_parameters():
        assert torch.equal(value, before[name]) and value.grad is None and value.requires_grad, name


class Pointed(Posterior):
    """A posterior that is no normal."""

    def forward(self, given: Given) -> Proposal:
        return Proposal(Laplace(given.evidence[:, :3], 1.0))


def test_another_posterior_is_refused() -> None:
    plain = linear().model()
    group = Group("z", Standard(shape=(3,)), Pointed())
    model = VAE(Encoder(torch.nn.Identity()), [group], plain.likelihood)
    with pytest.raises(DataError, match="needs a normal posterior, got Laplace"):
        module.regret(model, batch_of(model))
