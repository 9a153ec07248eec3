"""A label as an enumerated latent group, clamped where it is observed: Kingma's M2 model, and more groups of that kind."""

from __future__ import annotations

import math
from itertools import product

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Categorical, MultivariateNormal, Normal
from toys import (
    LabelPosterior,
    LabelPrior,
    NormalLikelihood,
    NormalPosterior,
    NormalPrior,
    gradients,
)

from vaekit.core import Batch, Given, Posterior, Proposal, Trace, sum_sites
from vaekit.model import VAE, Encoder, Group
from vaekit.objectives.elbo import Elbo

CLASSES, LATENT, DATA, BATCH = 4, 2, 3, 5
UNLABELLED = torch.full((BATCH,), -1)
LABELLED = torch.tensor([3, 0, 1, 1, 2])
MIXED = torch.tensor([-1, 0, -1, 3, 1])


def m2() -> VAE:
    """p(y) p(z | y) p(x | y, z) and q(y | x) q(z | x, y)."""
    groups = [
        Group("y", LabelPrior(CLASSES), LabelPosterior("y", CLASSES, DATA)),
        Group("z", NormalPrior(LATENT, CLASSES), NormalPosterior(LATENT, CLASSES + DATA)),
    ]
    return VAE(Encoder(nn.Identity()), groups, NormalLikelihood((DATA,), CLASSES + LATENT))


def labelled_bound(model: VAE, x: Tensor, label: int, z: Tensor, closed_form: bool = False) -> Tensor:
    """L(x, y) at one z ~ q(z | x, y): Kingma et al. (2014), eq. 6. x (data,), z (latent,)."""
    y = torch.eye(CLASSES)[label]
    prior, q = model.groups["z"].prior, model.groups["z"].posterior
    p_z = Normal(prior.mean.weight @ y + prior.mean.bias, prior.log_scale.exp())
    q_z = Normal(q.mean.weight @ torch.cat([y, x]) + q.mean.bias, q.log_scale.exp())
    mean = model.likelihood.mean
    p_x = Normal(mean.weight @ torch.cat([y, z]) + mean.bias, model.likelihood.log_scale.exp())
    divergence = torch.distributions.kl_divergence(q_z, p_z) if closed_form else q_z.log_prob(z) - p_z.log_prob(z)
    return p_x.log_prob(x).sum() + log_prior(model)[label] - divergence.sum()


def log_prior(model: VAE) -> Tensor:
    return model.groups["y"].prior.logits.bias.log_softmax(0)


def m2_formula(model: VAE, x: Tensor, labels: Tensor, z: Tensor, closed_form: bool = False) -> Tensor:
    """L(x, y) where y is observed, else U(x) = Σ_y q(y | x) L(x, y) + H[q(y | x)] (eq. 7), (B,); z (S, K, B, latent)."""
    scores = model.groups["y"].posterior.logits
    bounds = []
    for b, label in enumerate(labels.tolist()):
        each = torch.stack(
            [
                torch.stack([labelled_bound(model, x[b], y, z[s, y, b], closed_form) for s in range(len(z))]).mean()
                for y in range(CLASSES)
            ]
        )
        q = Categorical(logits=scores.weight @ x[b] + scores.bias)
        bounds.append(each[label] if label >= 0 else (q.probs * each).sum() + q.entropy())
    return torch.stack(bounds)


@pytest.mark.parametrize("labels", [UNLABELLED, LABELLED, MIXED], ids=["unlabelled", "labelled", "mixed"])
@pytest.mark.parametrize("samples", [1, 3])
def test_the_bound_is_m2(labels: Tensor, samples: int) -> None:
    model, x = m2(), torch.randn(BATCH, DATA)
    trace = model(Batch(x, observed={"y": labels}), samples=samples)
    assert trace.samples == samples * CLASSES
    z = trace.latents[1].z.unflatten(0, (samples, CLASSES, BATCH))
    bound = trace.expect(trace.log_ratio())
    torch.testing.assert_close(bound, m2_formula(model, x, labels, z), rtol=0, atol=1e-12)
    terms = Elbo()(trace, step=0).terms
    expected = m2_formula(model, x, labels, z, closed_form=True).mean()
    torch.testing.assert_close(terms["elbo"], expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("samples", [1, 3])
def test_no_label_at_all_is_all_unknown(samples: int) -> None:
    model, x, bounds = m2(), torch.randn(BATCH, DATA), []
    for observed in ({}, {"y": UNLABELLED}):
        torch.manual_seed(1)
        trace = model(Batch(x, observed=observed), samples=samples)
        bounds.append(trace.expect(trace.log_ratio()))
    assert torch.equal(*bounds)


@pytest.mark.parametrize("samples", [1, 3])
def test_gradients_are_those_of_m2_and_finite_at_log_0(samples: int) -> None:
    """A clamped label has log q = −∞ for every other class."""
    model, x = m2(), torch.randn(BATCH, DATA)
    trace = model(Batch(x, observed={"y": MIXED}), samples=samples)
    assert (trace.log_weight == -math.inf).sum() == 3 * samples * (CLASSES - 1)
    noise = (trace.latents[1].z - trace.latents[1].q.mean).detach()
    ours = torch.autograd.grad(trace.expect(trace.log_ratio()).sum(), list(model.parameters()), allow_unused=True)

    q = model.groups["z"].posterior  # the same draws, made anew
    ys = torch.eye(CLASSES).repeat_interleave(BATCH, 0).repeat(samples, 1)
    scale = q.log_scale.exp()
    z = F_linear(q, torch.cat([ys, x.repeat(samples * CLASSES, 1)], 1)) + noise / scale.detach() * scale
    by_hand = m2_formula(model, x, MIXED, z.unflatten(0, (samples, CLASSES, BATCH))).sum()
    theirs = torch.autograd.grad(by_hand, list(model.parameters()), allow_unused=True)
    for one, two in zip(ours, theirs, strict=True):
        assert (one is None or not one.numel()) == (two is None or not two.numel())
        if one is not None and one.numel():
            assert torch.isfinite(one).all() and one.any()
            torch.testing.assert_close(one, two, rtol=0, atol=1e-10)


def F_linear(q: Posterior, given: Tensor) -> Tensor:
    return given @ q.mean.weight.T + q.mean.bias


@pytest.mark.parametrize("what", ["elbo", "importance-weighted", "closed forms"])
def test_every_functional_has_finite_gradients(what: str) -> None:
    model, x = m2(), torch.randn(BATCH, DATA)
    trace: Trace = model(Batch(x, observed={"y": MIXED}), samples=3)
    loss = {
        "elbo": lambda: Elbo()(trace, step=0).loss,
        "importance-weighted": lambda: -trace.log_mean_exp(trace.log_ratio()).mean(),
        "closed forms": lambda: (
            sum(trace.expect(value).sum() for value in trace.kl().values())
            - trace.expect(trace.log_likelihood()).mean()
        ),
    }[what]()
    loss.backward()
    found = gradients(model)
    assert all(torch.isfinite(value).all() for value in found.values())
    # Summed out, the label has no part in an importance-weighted bound: q(y | x) cancels.
    idle = {name for name, value in found.items() if value.abs().max() < 1e-14}
    assert idle == (
        {f"groups.y.posterior.logits.{name}" for name in ("weight", "bias")} if what == "importance-weighted" else set()
    )


class ExactGivenLabel(Posterior):
    """p(z | y, x) of the linear-Gaussian M2 model."""

    def __init__(self, model: VAE) -> None:
        super().__init__()
        self.prior = (model.groups["z"].prior,)
        self.likelihood = (model.likelihood,)

    def forward(self, given: Given) -> Proposal:
        prior, mean = self.prior[0], self.likelihood[0].mean
        y, x = given.state, given.evidence
        weight, rest = mean.weight[:, CLASSES:], y @ mean.weight[:, :CLASSES].T + mean.bias
        noise = (-2 * self.likelihood[0].log_scale).exp()
        start = (-2 * prior.log_scale).exp()
        precision = torch.diag(start) + weight.T @ torch.diag(noise) @ weight
        pull = start * (y @ prior.mean.weight.T + prior.mean.bias) + (noise * (x - rest)) @ weight
        return Proposal(MultivariateNormal(torch.linalg.solve(precision, pull.T).T, precision_matrix=precision))


@pytest.mark.parametrize("samples", [1, 3])
def test_importance_weights_over_labels_give_log_p_exactly(samples: int) -> None:
    """With p(z | y, x) exact, log Σ_y q(y) p(x, y) / q(y) is log p(x) at *any* q(y | x), and log p(x, y) where y is known."""
    model, x = m2(), torch.randn(BATCH, DATA)
    p_x_and_y = joint_log_p(model, x)
    model.groups["z"].posterior = ExactGivenLabel(model)
    expected = torch.where(MIXED >= 0, p_x_and_y.gather(1, MIXED.clamp(min=0)[:, None])[:, 0], p_x_and_y.logsumexp(1))
    trace = model(Batch(x, observed={"y": MIXED}), samples=samples)
    torch.testing.assert_close(trace.log_mean_exp(trace.log_ratio()), expected, rtol=0, atol=1e-10)
    assert (trace.expect(trace.log_ratio()) < expected + 1e-10).all()


def joint_log_p(model: VAE, x: Tensor) -> Tensor:
    """log p(x, y), (B, K)."""
    prior, mean, columns = model.groups["z"].prior, model.likelihood.mean, []
    weight = mean.weight[:, CLASSES:]
    covariance = weight @ torch.diag((2 * prior.log_scale).exp()) @ weight.T
    covariance = covariance + torch.diag((2 * model.likelihood.log_scale).exp())
    for y in torch.eye(CLASSES):
        loc = weight @ (prior.mean.weight @ y + prior.mean.bias) + mean.weight[:, :CLASSES] @ y + mean.bias
        columns.append(MultivariateNormal(loc, covariance).log_prob(x))
    return torch.stack(columns, 1) + log_prior(model)


def two_labels() -> VAE:
    """Two enumerated groups with a drawn one between them: a (3 values), z, b (2 values), each given all before."""
    groups = [
        Group("a", LabelPrior(3), LabelPosterior("a", 3, DATA)),
        Group("z", NormalPrior(LATENT, 3), NormalPosterior(LATENT, 3 + DATA)),
        Group("b", LabelPrior(2, 3 + LATENT), LabelPosterior("b", 2, 3 + LATENT + DATA)),
    ]
    return VAE(Encoder(nn.Identity()), groups, NormalLikelihood((DATA,), 5 + LATENT))


@pytest.mark.parametrize("samples", [1, 4])
def test_the_layout_of_samples_and_values(samples: int) -> None:
    """Every combination once a draw, the last group fastest; a draw is shared by the values enumerated after it."""
    model, x = two_labels(), torch.randn(BATCH, DATA)
    trace = model(Batch(x), samples=samples)
    a, z, b = (trace.rows_to_samples(latent.z) for latent in trace.latents)  # (S, B, ...)
    combinations = list(product(range(3), range(2))) * samples
    for s, (value_a, value_b) in enumerate(combinations):
        assert (a[s].argmax(-1) == value_a).all() and (b[s].argmax(-1) == value_b).all()
    z = z.unflatten(0, (samples * 3, 2))
    assert torch.equal(z[:, 0], z[:, 1])
    assert len(z[:, 0].reshape(-1).unique()) == z[:, 0].numel()  # and no draw was used twice otherwise
    weight = trace.log_weight.exp()
    torch.testing.assert_close(weight.sum(0), torch.ones(BATCH), rtol=0, atol=1e-12)
    torch.testing.assert_close(
        trace.expect(torch.ones(trace.samples, BATCH, 7)), torch.ones(BATCH, 7), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("observed", [{}, {"a": torch.tensor([-1, 2, 0, -1, 1]), "b": torch.tensor([1, -1, 0, -1, 1])}])
def test_two_enumerated_groups_sum_over_both(observed: dict[str, Tensor]) -> None:
    model, x, samples = two_labels(), torch.randn(BATCH, DATA), 3
    trace = model(Batch(x, observed=observed), samples=samples)
    z = trace.latents[1].z.unflatten(0, (samples, 3, 2, BATCH))[:, :, 0]  # (S, 3, B, latent)
    bound, total = trace.expect(trace.log_ratio()), torch.zeros(BATCH)
    for s, value_a, value_b in product(range(samples), range(3), range(2)):
        one_a, one_b = torch.eye(3)[value_a].expand(BATCH, -1), torch.eye(2)[value_b].expand(BATCH, -1)
        q_a, q_z, q_b = factors(model, "posterior", x, one_a, z[s, value_a], observed)
        p_a, p_z, p_b = factors(model, "prior", x, one_a, z[s, value_a], observed)
        p_x = model.likelihood(Given(BATCH, state=torch.cat([one_a, z[s, value_a], one_b], 1)))
        log_q = q_a.log_prob(one_a) + q_z.log_prob(z[s, value_a]).sum(1) + q_b.log_prob(one_b)
        log_p = p_a.log_prob(one_a) + p_z.log_prob(z[s, value_a]).sum(1) + p_b.log_prob(one_b)
        weight = (q_a.log_prob(one_a) + q_b.log_prob(one_b)).exp() / samples
        term = p_x.log_prob(x).sum(1) + log_p - log_q
        total = total + torch.where(weight > 0, weight * term, 0.0)
    torch.testing.assert_close(bound, total, rtol=0, atol=1e-12)
    (-bound.mean()).backward()
    assert all(torch.isfinite(value).all() for value in gradients(model).values())


def factors(model: VAE, side: str, x: Tensor, a: Tensor, z: Tensor, observed: dict[str, Tensor]) -> list[object]:
    """The three distributions at given values, without the loop."""
    found = []
    for name, state in (("a", None), ("z", a), ("b", torch.cat([a, z], 1))):
        group = model.groups[name]
        if side == "prior":
            found.append(group.prior(Given(len(x), state=state)))
        else:
            found.append(group.posterior(Given(len(x), state=state, evidence=x, observed=observed)).q)
    return found


def test_a_divergence_without_closed_form_is_summed_exactly() -> None:
    """KL of an enumerated group: the weighted sum of log q − log p over its values is the closed form."""
    model, x = m2(), torch.randn(BATCH, DATA)
    trace = model(Batch(x, observed={"y": MIXED}), samples=3)
    label = trace.latents[0]
    summed = trace.expect(trace.rows_to_samples(label.sampled_kl()))
    torch.testing.assert_close(summed, trace.expect(trace.kl()["y"]), rtol=0, atol=1e-12)


def test_an_enumerated_group_may_have_sites() -> None:
    """Two independent bits enumerated together: four values, with log q per bit."""

    class Bits(Posterior):
        support = 4

        def __init__(self) -> None:
            super().__init__()
            self.logits = nn.Linear(DATA, 2)

        def forward(self, given: Given) -> Proposal:
            values = torch.tensor(list(product([0.0, 1.0], repeat=2)))
            return Proposal(torch.distributions.Bernoulli(logits=self.logits(given.evidence)), enumerate=values)

    class Coins(LabelPrior):
        def forward(self, given: Given) -> torch.distributions.Bernoulli:
            return torch.distributions.Bernoulli(logits=self.logits(given.rows))

    model = VAE(Encoder(nn.Identity()), [Group("bits", Coins(2), Bits())], NormalLikelihood((DATA,), 2))
    trace = model(Batch(torch.randn(BATCH, DATA)), samples=1)
    torch.testing.assert_close(trace.log_weight.exp().sum(0), torch.ones(BATCH), rtol=0, atol=1e-12)
    by_terms = trace.expect(sum_sites(trace.log_likelihood()) - sum_sites(trace.kl()["bits"]))
    torch.testing.assert_close(by_terms, trace.expect(trace.log_ratio()), rtol=0, atol=1e-12)


def test_a_support_that_is_not_what_is_listed_is_caught() -> None:
    model = m2()
    model.groups["z"].posterior.support = 3
    with pytest.raises(AssertionError, match="'z' lists 1 values, but its support is 3"):
        model(Batch(torch.randn(BATCH, DATA)))
