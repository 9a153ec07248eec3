"""A module that another one owns, borrowed in a one-element tuple: one set of weights, one set of keys, safe to copy."""

from __future__ import annotations

import copy

import torch
from torch import nn
from torch.distributions import Distribution
from torch.optim.swa_utils import AveragedModel
from toys import NormalLikelihood, NormalPosterior, VampPrior

from vaekit.core import Batch, Conditional, Given, Posterior
from vaekit.model import VAE, Encoder, Group
from vaekit.objectives.elbo import Elbo

LATENT, DATA, BATCH, COMPONENTS, SAMPLES = 2, 5, 4, 3, 2


def vamp() -> VAE:
    encoder, posterior = Encoder(nn.Linear(DATA, 6)), NormalPosterior(LATENT, 6)
    prior = VampPrior(encoder, posterior, COMPONENTS, DATA)
    return VAE(encoder, [Group("z", prior, posterior)], NormalLikelihood((DATA,), LATENT))


def p_of(model: VAE) -> Distribution:
    return model.groups["z"].prior(Given(BATCH))


def test_the_prior_is_the_mixture_of_the_posteriors() -> None:
    model = vamp()
    prior, posterior, z = model.groups["z"].prior, model.groups["z"].posterior, torch.randn(BATCH, LATENT)
    each = posterior(Given(COMPONENTS, evidence=model.encoder(Batch(prior.inputs)))).q.log_prob(z[:, None])  # (B, M, d)
    by_hand = each.logsumexp(1) - torch.tensor(float(COMPONENTS)).log()
    torch.testing.assert_close(p_of(model).log_prob(z), by_hand, rtol=0, atol=1e-12)


def test_keys_and_parameters_are_there_once() -> None:
    model = vamp()
    keys = set(model.state_dict())
    assert len(keys) == len({value.data_ptr() for value in model.state_dict().values()})
    assert not any("prior.posterior" in key or "prior.encoder" in key for key in keys)
    assert sum(1 for _ in model.parameters()) == len(keys)


def test_the_bound_and_its_gradient_go_through_the_loan() -> None:
    model = vamp()
    trace = model(Batch(torch.randn(BATCH, DATA)), samples=SAMPLES)
    assert trace.kl()["z"].shape == (SAMPLES, BATCH, LATENT)  # no closed form: sampled, per site
    trace.latents[0].log_p().sum().backward()
    assert model.groups["z"].prior.inputs.grad.any() and model.groups["z"].posterior.mean.weight.grad.any()
    assert torch.isfinite(Elbo()(trace, step=0).loss)


def test_a_deep_copy_borrows_from_the_copy() -> None:
    model = vamp()
    twin = copy.deepcopy(model)
    assert twin.groups["z"].prior.posterior[0] is twin.groups["z"].posterior
    assert twin.groups["z"].prior.encoder[0] is twin.encoder
    assert twin.groups["z"].posterior is not model.groups["z"].posterior
    z, before = torch.randn(BATCH, LATENT), p_of(model).log_prob(torch.zeros(BATCH, LATENT))
    assert torch.equal(p_of(twin).log_prob(z), p_of(model).log_prob(z))
    with torch.no_grad():
        twin.groups["z"].posterior.mean.bias.add_(1.0)
    assert not torch.equal(p_of(twin).log_prob(z), p_of(model).log_prob(z))
    assert torch.equal(before, p_of(model).log_prob(torch.zeros(BATCH, LATENT)))


class ByClosure(Conditional):
    """What not to do: the deep copy of a function is the function, which goes on pointing at the original."""

    def __init__(self, encoder: nn.Module, posterior: Posterior) -> None:
        super().__init__()
        self.q = lambda given: posterior(Given(given.rows, evidence=encoder(Batch(torch.zeros(given.rows, DATA))))).q

    def forward(self, given: Given) -> Distribution:
        return self.q(given)


class ByRegistration(Conditional):
    """What not to do either: its keys stand in the state dict twice."""

    def __init__(self, posterior: Posterior) -> None:
        super().__init__()
        self.posterior = posterior

    def forward(self, given: Given) -> Distribution:
        raise NotImplementedError


def test_the_test_above_would_catch_a_closure_and_a_registration() -> None:
    model = vamp()
    encoder, posterior, z = model.encoder, model.groups["z"].posterior, torch.randn(BATCH, LATENT)
    closure = VAE(encoder, [Group("z", ByClosure(encoder, posterior), posterior)], model.likelihood)
    twin = copy.deepcopy(closure)
    with torch.no_grad():
        twin.groups["z"].posterior.mean.bias.add_(1.0)
    assert torch.equal(p_of(twin).log_prob(z), p_of(closure).log_prob(z))  # the copy's prior did not notice
    registered = VAE(encoder, [Group("z", ByRegistration(posterior), posterior)], model.likelihood).state_dict()
    assert len(registered) > len({value.data_ptr() for value in registered.values()})


def test_averages_loads_and_moves() -> None:
    """An average of weights has a prior of its own weights; loading and moving reach the loan through its owner."""
    model = vamp()
    average = AveragedModel(model, multi_avg_fn=None)
    average.update_parameters(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.5)
    average.update_parameters(model)
    own = average.module.groups["z"]
    assert own.prior.posterior[0] is own.posterior
    other = vamp()
    other.load_state_dict(average.module.state_dict())
    z = torch.randn(BATCH, LATENT)
    assert torch.equal(p_of(other).log_prob(z), p_of(average.module).log_prob(z))
    assert not torch.equal(p_of(other).log_prob(z), p_of(model).log_prob(z))
    assert other.to(torch.float32).groups["z"].prior.posterior[0].mean.bias.dtype == torch.float32
    assert p_of(other).log_prob(z.float()).dtype == torch.float32
