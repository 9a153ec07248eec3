"""The path derivative ("sticking the landing"): unbiased with groups that depend on each other, silent at the optimum."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from oracle import Factor, LinearGaussian, exact_elbo, joint, make_exact, oracle
from torch import Tensor, nn
from torch.distributions import Normal
from toys import NormalLikelihood, NormalPosterior, NormalPrior, vae

from vaekit.core import Batch, Given, Posterior, Proposal, Trace, sum_sites
from vaekit.model import VAE, Encoder, Group

DATA, BATCH = 3, 2
ROUNDS, SAMPLES = 60, 1500


def path_bound(trace: Trace) -> Tensor:
    return trace.expect(trace.log_ratio(path=True)).sum()


def plain_bound(trace: Trace) -> Tensor:
    return trace.expect(trace.log_ratio()).sum()


def naive_ratio(trace: Trace) -> Tensor:
    """q with its *distribution's* parameters detached: the way z_<l enters q(z_l | z_<l, x) is lost with them."""
    total = sum_sites(trace.log_likelihood())
    for latent in trace.latents:
        q = Normal(latent.q.mean.detach(), latent.q.stddev.detach())
        total = total + sum_sites(trace.rows_to_samples(latent.log_p() - q.log_prob(latent.z)))
    return total


def gradient(value: Tensor, model: VAE) -> Tensor:
    """The gradient to all parameters as one vector; unused ones count as zero."""
    parameters = [parameter for parameter in model.parameters() if parameter.numel()]
    found = torch.autograd.grad(value, parameters, allow_unused=True, retain_graph=True)
    pairs = zip(found, parameters, strict=True)
    return torch.cat([torch.zeros(p.numel()) if g is None else g.flatten() for g, p in pairs])


def estimates(model: VAE, x: Tensor, samples: int, *bounds: Callable[[Trace], Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Mean and standard error of every bound's gradient over independent rounds (the same draws for all bounds)."""
    rounds: list[list[Tensor]] = [[] for _ in bounds]
    for _ in range(ROUNDS):
        trace = model(Batch(x), samples=samples, path=True)
        for found, bound in zip(rounds, bounds, strict=True):
            found.append(gradient(bound(trace), model))
    stacked = [torch.stack(found) for found in rounds]
    return [(values.mean(0), values.std(0) / math.sqrt(ROUNDS)) for values in stacked]


@pytest.mark.parametrize("sizes", [(2, 1), (1, 2, 1)])
def test_unbiased_with_dependent_groups(sizes: tuple[int, ...]) -> None:
    """Against the oracle's exact gradient, for every parameter of p and q."""
    model, x = vae(sizes, DATA), torch.randn(BATCH, DATA)
    exact = gradient(exact_elbo(model, x).sum(), model)
    for mean, error in estimates(model, x, SAMPLES, path_bound, plain_bound):
        assert ((mean - exact).abs() < 5 * error + 1e-10).all()
        assert error.max() < 0.05 * exact.abs().max()  # and that says something


class Mix(nn.Module):
    """A merge with parameters: the state is a linear map of the groups so far, so q depends on them through it."""

    def __init__(self, size: int, before: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, size + before))

    def forward(self, state: Tensor | None, z: Tensor) -> Tensor:
        return nn.functional.linear(z if state is None else torch.cat([state, z], 1), self.weight)


def mixed() -> VAE:
    """z_1 (2), z_2 (1), and a state of 3 numbers after each."""
    groups = [
        Group("z1", NormalPrior(2), NormalPosterior(2, DATA), Mix(2, 0)),
        Group("z2", NormalPrior(1, 3), NormalPosterior(1, 3 + DATA), Mix(1, 3)),
    ]
    return VAE(Encoder(nn.Identity()), groups, NormalLikelihood((DATA,), 3))


def mixed_elbo(model: VAE, x: Tensor) -> Tensor:
    """Its exact bound for one x: the merges multiplied into the weights."""
    first, second = model.groups["z1"], model.groups["z2"]
    one = first.merge.weight  # z_1 → state
    two = second.merge.weight @ torch.block_diag(one, torch.ones(1, 1))  # (z_1, z_2) → state
    like, prior, q = model.likelihood, (first.prior, second.prior), (first.posterior, second.posterior)
    p_factors = [
        Factor(torch.zeros(2, 0), prior[0].mean.bias, prior[0].log_scale),
        Factor(prior[1].mean.weight @ one, prior[1].mean.bias, prior[1].log_scale),
        Factor(like.mean.weight @ two, like.mean.bias, like.log_scale),
    ]
    q_factors = [
        Factor(torch.zeros(2, 0), q[0].mean.bias + q[0].mean.weight @ x, q[0].log_scale),
        Factor(q[1].mean.weight[:, :3] @ one, q[1].mean.bias + q[1].mean.weight[:, 3:] @ x, q[1].log_scale),
    ]
    return LinearGaussian((2, 1, DATA), *joint(p_factors)).elbo(q_factors, x)


def test_unbiased_where_the_state_has_parameters() -> None:
    model, x = mixed(), torch.randn(BATCH, DATA)
    exact = gradient(torch.stack([mixed_elbo(model, row) for row in x]).sum(), model)
    ((mean, error),) = estimates(model, x, SAMPLES, path_bound)
    assert ((mean - exact).abs() < 5 * error + 1e-10).all()
    assert error.max() < 0.05 * exact.abs().max()


def doubly(ratio: Callable[[Trace], Tensor]) -> Callable[[Trace], Tensor]:
    """Σ_s w_s² log w_s with constant normalized weights: to q, the gradient of the importance-weighted bound."""

    def bound(trace: Trace) -> Tensor:
        log_ratio = ratio(trace)  # (S, B)
        return (log_ratio.softmax(0).detach().square() * log_ratio).sum(0).mean()

    return bound


def weighted_bound(trace: Trace) -> Tensor:
    return trace.log_mean_exp(trace.log_ratio()).mean()


def near_the_optimum(model: VAE, bound: Callable[[VAE, Tensor], Tensor], x: Tensor) -> None:
    """Fit q to one x by the exact bound, then let its last group lean on z_<l: where bias and noise are told apart best."""
    q = [value for name, value in model.named_parameters() if ".posterior." in name]
    optimizer = torch.optim.LBFGS(q, max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = -bound(model, x)
        loss.backward()
        return loss

    optimizer.step(closure)
    model.zero_grad()
    last = model.groups["z2"].posterior
    with torch.no_grad():
        last.mean.weight[:, : last.mean.weight.shape[1] - DATA] += last.log_scale.exp()


def deviation(one: tuple[Tensor, Tensor], two: tuple[Tensor, Tensor]) -> Tensor:
    """Differences of two estimates (mean, standard error), in standard errors."""
    return ((one[0] - two[0]).abs() / (one[1].square() + two[1].square()).sqrt()).max()


@pytest.mark.parametrize("merge", ["concat", "with parameters"])
def test_doubly_reparameterized_gradients_are_unbiased_where_detaching_is_biased(merge: str) -> None:
    """The importance-weighted bound with three samples; every row of a large batch is the same x."""
    x = torch.randn(DATA)
    if merge == "concat":
        model = vae((2, 1), DATA)
        near_the_optimum(model, lambda model, x: exact_elbo(model, x[None]).sum(), x)
    else:
        model = mixed()
        near_the_optimum(model, mixed_elbo, x)
    by_path = doubly(lambda trace: trace.log_ratio(path=True))
    found = estimates(model, x.expand(2500, -1), 3, weighted_bound, by_path, doubly(naive_ratio))
    of_q = torch.cat([torch.full((v.numel(),), ".posterior." in name) for name, v in model.named_parameters()])
    plain, path, naive = [(mean[of_q], error[of_q]) for mean, error in found]
    assert deviation(path, plain) < 5
    assert deviation(naive, plain) > 15
    assert path[1].norm() < plain[1].norm()


@torch.no_grad()
def at_the_optimum(sizes: tuple[int, ...]) -> VAE:
    """Affine posteriors that are exact: every group has one number, so that a diagonal q can be."""
    model = vae(sizes, DATA)
    exact = vae(sizes, DATA)
    exact.load_state_dict(model.state_dict())
    p = make_exact(exact)
    for index, group in enumerate(model.groups.in_order()):
        probes = torch.cat([torch.zeros(1, index + DATA), torch.eye(index + DATA)])
        q = p.posterior(index, probes[:, :index], probes[:, index:], torch.ones(len(probes), DATA))
        group.posterior.mean.bias.copy_(q.mean[0])
        group.posterior.mean.weight.copy_((q.mean[1:] - q.mean[0]).T)
        group.posterior.log_scale.copy_(0.5 * q.covariance_matrix[0].diagonal().log())
    return model


@pytest.mark.parametrize("sizes", [(1,), (1, 1), (1, 1, 1)])
def test_no_variance_at_the_exact_posterior(sizes: tuple[int, ...]) -> None:
    """Sample by sample the gradient to q is zero, where the plain estimator's is not."""
    model, x = at_the_optimum(sizes), torch.randn(BATCH, DATA)
    q_parameters = [value for name, value in model.named_parameters() if ".posterior." in name]
    trace = model(Batch(x), samples=4, path=True)
    torch.testing.assert_close(trace.log_ratio(), oracle(model).log_p(x).expand(4, -1), rtol=0, atol=1e-10)
    for s in range(4):
        by_path = torch.autograd.grad(trace.log_ratio(path=True)[s].sum(), q_parameters, retain_graph=True)
        plain = torch.autograd.grad(trace.log_ratio()[s].sum(), q_parameters, retain_graph=True)
        naive = torch.autograd.grad(naive_ratio(trace)[s].sum(), q_parameters, retain_graph=True)
        assert max(value.abs().max() for value in by_path) < 1e-10
        assert max(value.abs().max() for value in plain) > 1e-2
        assert len(sizes) == 1 or max(value.abs().max() for value in naive) > 1e-2


class Lazy(Normal):
    """A distribution that holds its network and runs it when asked for a density, as flows do."""

    def __init__(self, network: nn.Module, given: Tensor, scale: Tensor) -> None:
        self.network, self.given = network, given
        super().__init__(network(given), scale, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        return Normal(self.network(self.given), self.stddev, validate_args=False).log_prob(value)


class Relative(Posterior):
    """q at the prior's mean, moved: it borrows the prior, and its distribution holds a network."""

    def __init__(self, prior: NormalPrior, given: int) -> None:
        super().__init__()
        self.prior = (prior,)
        self.inner = NormalPosterior(1, given)
        self.network = nn.Linear(1, 1)

    def forward(self, given: Given) -> Proposal:
        q = self.inner(given).q
        return Proposal(Lazy(self.network, q.mean + self.prior[0](given.without_evidence()).mean, q.stddev))


def test_the_path_changes_gradients_and_no_numbers() -> None:
    """log q is a function of the drawn values: no parameter of a posterior, a merge, or a borrowed prior is in it."""
    model, x = mixed(), torch.randn(BATCH, DATA)
    model.encoder = Encoder(nn.Linear(DATA, DATA))
    model.groups["z2"].posterior = Relative(model.groups["z2"].prior, 3 + DATA)
    trace = model(Batch(x), samples=3, path=True)
    assert torch.equal(trace.log_ratio(path=True), trace.log_ratio())
    first, second = trace.latents
    total = first.log_q(path=True).sum() + second.log_q(path=True).sum()
    at_z1, at_z2 = torch.autograd.grad(total, [first.z, second.z], retain_graph=True)
    reached = torch.autograd.grad(total, list(model.parameters()), allow_unused=True, retain_graph=True)
    # z_2 is itself drawn given z_1, hence one way to each: their gradients, pushed through the draws, are all there is.
    (through_z2,) = torch.autograd.grad((second.z * at_z2.detach()).sum(), [first.z], retain_graph=True)
    pushed = (first.z * (at_z1 - through_z2).detach()).sum() + (second.z * at_z2.detach()).sum()
    draws = torch.autograd.grad(pushed, list(model.parameters()), allow_unused=True)
    for one, two in zip(reached, draws, strict=True):
        assert (one is None) == (two is None)
        assert one is None or torch.allclose(one, two, rtol=0, atol=1e-12)
    without = model(Batch(x), samples=3)
    with pytest.raises(AssertionError, match="did not record the path of group 'z1'"):
        without.log_ratio(path=True)


def test_buffers_see_one_pass() -> None:
    """Running statistics of a posterior are moved once, path or not."""

    class Counting(Posterior):
        calls: Tensor

        def __init__(self) -> None:
            super().__init__()
            self.inner = NormalPosterior(2, DATA)
            self.register_buffer("calls", torch.zeros(()))

        def forward(self, given: Given) -> Proposal:
            self.calls += 1
            return self.inner(given)

    model = VAE(Encoder(nn.Identity()), [Group("z", NormalPrior(2), Counting())], NormalLikelihood((DATA,), 2))
    model(Batch(torch.randn(BATCH, DATA)), path=True)
    assert model.groups["z"].posterior.calls == 1
