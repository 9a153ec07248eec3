"""Two and three latent groups that depend on each other, through the one loop."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from oracle import Factor, LinearGaussian, joint, oracle
from torch import Tensor, nn
from torch.distributions import Distribution, MultivariateNormal
from toys import LabelPosterior, LabelPrior, NormalLikelihood, NormalPosterior, NormalPrior, vae

from vaekit.core import Batch, Given, Latent, Posterior, Proposal
from vaekit.model import VAE, Encoder, Group

DATA, BATCH = 5, 3
SIZES = [(2, 3), (3, 1, 2)]


@pytest.mark.parametrize("sizes", SIZES)
def test_the_bound_rises_with_samples(sizes: tuple[int, ...]) -> None:
    """Paired on the same 20,000 samples a datum: k = 1, 5 and 5000."""
    model, x = vae(sizes, DATA, hidden=6), 1.5 * torch.randn(BATCH, DATA)
    with torch.no_grad():
        trace = model(Batch(x), samples=20_000)
        log_ratio = trace.log_ratio()
    one, five = log_ratio.unflatten(0, (-1, 5)), log_ratio.unflatten(0, (-1, 5)).logsumexp(1) - math.log(5)
    rises = (five - one.mean(1)).mean(1)  # (4000,)
    assert rises.mean() > 10 * rises.std() / math.sqrt(len(rises))
    many = log_ratio.unflatten(0, (-1, 5000)).logsumexp(1) - math.log(5000)  # (4, B)
    rises = (many - five.unflatten(0, (4, -1)).mean(1)).mean(1)
    assert rises.min() > 0
    assert trace.expect(log_ratio).mean() < five.mean() < many.mean()
    assert model(Batch(x), samples=5000).log_ratio().shape == (5000, BATCH)


@pytest.mark.parametrize("sizes", SIZES)
def test_replay_is_bitwise_equal(sizes: tuple[int, ...]) -> None:
    model, x = vae(sizes, DATA, hidden=6), torch.randn(BATCH, DATA)
    trace = model(Batch(x), samples=4)
    stored = {latent.name: latent.z for latent in trace.latents}
    again, latents = model.unroll(Given(4 * BATCH), lambda group, p, given: Latent(group.name, stored[group.name], p))
    assert torch.equal(again.state, torch.cat(list(stored.values()), 1))
    for first, second in zip(trace.latents, latents, strict=True):
        assert torch.equal(first.p.mean, second.p.mean) and torch.equal(first.p.stddev, second.p.stddev)
        assert torch.equal(first.log_p(), second.log_p())
    assert torch.equal(model.decode(stored).mean, trace.likelihood.mean)


def test_generation_draws_every_group_given_those_before() -> None:
    """The moments of draws from the prior are the oracle's."""
    model = vae((2, 3), DATA)
    p = oracle(model)
    with torch.no_grad():
        x = model.generate(40_000).sample()
    assert x.shape == (40_000, DATA)
    deviation = p.covariance[-DATA:, -DATA:].diagonal().sqrt()
    assert ((x.mean(0) - p.mean[-DATA:]).abs() < 5 * deviation / 200).all()
    correlation = (torch.cov(x.T) - p.covariance[-DATA:, -DATA:]) / (deviation[:, None] * deviation)
    assert correlation.abs().max() < 0.04
    # At temperature zero every group is its mean.
    central = model.generate(2, draw=lambda q: q.mean)
    torch.testing.assert_close(central.mean, p.mean[-DATA:].expand(2, -1), rtol=0, atol=1e-12)


def labelled_model() -> VAE:
    groups = [
        Group("y", LabelPrior(4), LabelPosterior("y", 4, DATA)),
        Group("z", NormalPrior(2, 4), NormalPosterior(2, 4 + DATA)),
        Group("w", NormalPrior(3, 6), NormalPosterior(3, 6 + DATA)),
    ]
    return VAE(Encoder(nn.Identity()), groups, NormalLikelihood((DATA,), 9))


def test_the_prior_sees_neither_evidence_nor_observed() -> None:
    """Both are permuted, with the drawn values held: no p moves by a bit, and every q does."""
    model, x, label = labelled_model(), torch.randn(BATCH, DATA), torch.tensor([2, -1, 0])
    trace = model(Batch(x, observed={"y": label}), samples=2)
    values = {latent.name: latent.z for latent in trace.latents}

    def replay(given: Given) -> tuple[Distribution, list[tuple[Distribution, Proposal]]]:
        seen = []

        def choose(group: Group, p: Distribution, given: Given) -> Latent:
            seen.append((p, group.posterior(given)))
            return Latent(group.name, values[group.name], p)

        given, _ = model.unroll(given, choose)
        return model.likelihood(given.without_evidence()), seen

    other = torch.tensor([1, 2, 0])
    likelihood, first = replay(model.given(Batch(x, observed={"y": label}), 8))
    permuted, second = replay(model.given(Batch(x[other], observed={"y": label[other]}), 8))
    assert torch.equal(likelihood.mean, permuted.mean)
    for (p, proposal), (p_permuted, proposal_permuted) in zip(first, second, strict=True):
        assert torch.equal(p.mean, p_permuted.mean)
        assert not torch.equal(proposal.q.mean, proposal_permuted.q.mean)


def test_what_priors_and_likelihoods_are_given() -> None:
    """State and context, and nothing that knows x."""
    given: list[Given] = []

    class Spy(NormalPrior):
        def forward(self, g: Given) -> torch.distributions.Normal:
            given.append(g)
            return super().forward(g)

    groups = [
        Group("z1", Spy(2), NormalPosterior(2, DATA)),
        Group("z2", Spy(3, 2), NormalPosterior(3, 2 + DATA)),
    ]
    model = VAE(Encoder(nn.Identity()), groups, NormalLikelihood((DATA,), 5))
    model.likelihood.register_forward_pre_hook(lambda module, args: given.append(args[0]))
    model(Batch(torch.randn(BATCH, DATA), observed={"y": torch.zeros(BATCH)}), samples=2)
    assert len(given) == 3
    assert all(g.evidence is None and g.observed == {} and g.rows == 2 * BATCH for g in given)
    assert given[0].state is None and [g.state.shape[1] for g in given[1:]] == [2, 5]


def test_evidence_may_be_a_pyramid() -> None:
    """Mappings and sequences of tensors are repeated for the samples, sample-major."""

    class Pyramid(nn.Module):
        def forward(self, batch: Batch) -> dict[str, list[Tensor]]:
            assert isinstance(batch.x, Tensor)
            return {"levels": [batch.x, batch.x[:, :2]]}

    class Level(Posterior):
        def __init__(self, level: int, size: int) -> None:
            super().__init__()
            self.level = level
            self.inner = NormalPosterior(size, (DATA, 2)[level])

        def forward(self, given: Given) -> Proposal:
            return self.inner(Given(given.rows, evidence=given.evidence["levels"][self.level]))

    groups = [Group("z1", NormalPrior(2), Level(1, 2)), Group("z2", NormalPrior(3, 2), Level(0, 3))]
    model, x = VAE(Pyramid(), groups, NormalLikelihood((DATA,), 5)), torch.randn(BATCH, DATA)
    trace = model(Batch(x), samples=2, path=True)
    for latent in trace.latents:
        assert torch.equal(latent.q.mean[:BATCH], latent.q.mean[BATCH:])
    assert torch.equal(trace.log_ratio(path=True), trace.log_ratio())


class BottomUp(nn.Module):
    """Evidence x, z_1 ~ q(z_1 | x) and z_2 ~ q(z_2 | z_1), drawn before the loop, which goes from z_2 to z_1."""

    def __init__(self) -> None:
        super().__init__()
        self.low, self.high = NormalPosterior(3, DATA), NormalPosterior(2, 3)

    def forward(self, batch: Batch) -> dict[str, tuple[Tensor, Distribution] | list[Distribution]]:
        assert isinstance(batch.x, Tensor)
        low = self.low(Given(len(batch), evidence=batch.x)).q
        z_low = low.rsample()
        high = self.high(Given(len(batch), evidence=z_low)).q
        return {"z1": [low, z_low], "z2": [high, high.rsample()]}


class Drawn(Posterior):
    def __init__(self, name: str) -> None:
        super().__init__()
        self.name = name

    def forward(self, given: Given) -> Proposal:
        q, z = given.evidence[self.name]
        return Proposal(q, z=z)


def test_bottom_up_inference_takes_sampled_divergences() -> None:
    """The closed form of KL[q(z_1 | x) ‖ p(z_1 | z_2)] would be wrong: z_2 was drawn from z_1.

    The bound of x rows that are all the same, averaged, is the bound of the joint q, which is closed form here.
    """
    groups = [Group("z2", NormalPrior(2), Drawn("z2")), Group("z1", NormalPrior(3, 2), Drawn("z1"))]
    model = VAE(BottomUp(), groups, NormalLikelihood((DATA,), 5))
    x, rows = torch.randn(DATA), 40_000
    with torch.no_grad():  # so that it matters that z_2 was drawn from z_1
        model.encoder.low.log_scale.zero_()
        groups[1].prior.mean.weight.copy_(model.encoder.high.mean.weight.mul_(2).T)
    with torch.no_grad():
        trace = model(Batch(x.expand(rows, -1)))
    kl = sum(value.sum(-1) for value in trace.kl().values())
    bound = (trace.log_likelihood().sum(-1) - kl)[0]
    torch.testing.assert_close(bound, trace.log_ratio()[0], rtol=0, atol=1e-10)
    exact, error = bottom_up_elbo(model, oracle(model), x), bound.std().item() / math.sqrt(rows)
    assert abs(bound.mean().item() - exact) < 4.5 * error
    closed = sum(replace(latent, drawn=False).kl().sum(-1) for latent in trace.latents)
    gap = kl[0] - closed
    assert abs(gap.mean()) > 10 * gap.std() / math.sqrt(rows)


def bottom_up_elbo(model: VAE, p: LinearGaussian, x: Tensor) -> float:
    """The oracle knows the order z_2, z_1: the joint of q(z_1 | x) q(z_2 | z_1), turned round."""
    low, high = model.encoder.low, model.encoder.high
    first = Factor(torch.zeros(3, 0), low.mean(1, x[None])[0], low.log_scale)
    mean, covariance = joint([first, Factor(high.mean.weight, high.mean.bias, high.log_scale)])
    turned = torch.tensor([3, 4, 0, 1, 2])
    mean, covariance = mean[turned], covariance[turned][:, turned]
    whole = MultivariateNormal(p.mean, p.covariance)
    energy = whole.log_prob(torch.cat([mean, x])) - 0.5 * (whole.precision_matrix[:5, :5] * covariance).sum()
    return (energy + MultivariateNormal(mean, covariance).entropy()).item()


def test_group_names_must_differ() -> None:
    group = Group("z", NormalPrior(2), NormalPosterior(2, DATA))
    with pytest.raises(AssertionError, match="different names"):
        VAE(
            Encoder(nn.Identity()),
            [group, Group("z", NormalPrior(2), NormalPosterior(2, DATA))],
            NormalLikelihood((DATA,), 4),
        )
