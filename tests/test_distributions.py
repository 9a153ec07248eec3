"""Distributions: masses sum to one, densities integrate to one, numbers equal torch's, closed forms equal Monte Carlo."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Categorical, Distribution, Normal, kl_divergence

from vaekit import distributions
from vaekit.distributions import (
    Bernoulli,
    CoupledLogisticMixture,
    DiscretizedLogistic,
    DiscretizedLogisticMixture,
    Gaussian,
    Joint,
    Levels,
    StandardNormal,
    StudentT,
    central,
)


def rand(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def grid(levels: int) -> Tensor:
    return torch.arange(levels, dtype=torch.float64) * 2 / (levels - 1) - 1


def coupled(rows: int, components: int, levels: int, height: int = 1, width: int = 2) -> CoupledLogisticMixture:
    shape = (rows, components, 3, height, width)
    return CoupledLogisticMixture(
        rand(rows, components, height, width), 0.5 * rand(*shape), rand(*shape) - 1, rand(*shape), levels
    )


MAKERS: dict[str, Callable[[], Distribution]] = {
    "Bernoulli": lambda: Bernoulli(rand(3, 4)),
    "CoupledLogisticMixture": lambda: coupled(3, 2, 5, height=2, width=4),
    "DiscretizedLogistic": lambda: DiscretizedLogistic(rand(3, 4), rand(3, 4) - 1, 7),
    "DiscretizedLogisticMixture": lambda: DiscretizedLogisticMixture(
        rand(3, 2, 4), rand(3, 2, 4), rand(3, 2, 4) - 1, 7
    ),
    "Gaussian": lambda: Gaussian(rand(3, 4), rand(3, 4) - 1),
    "Joint": lambda: Joint({"a": Gaussian(rand(3, 4), rand(3, 4)), "b": Bernoulli(rand(3, 2, 5))}),
    "Levels": lambda: Levels(rand(3, 6, 4)),
    "StandardNormal": lambda: StandardNormal((3, 4), rand(1)),
    "StudentT": lambda: StudentT(rand(3, 4), rand(3, 4) - 1, 3.5),
}
TENSORS = [name for name in MAKERS if name != "Joint"]
WITH_PARAMETERS = [name for name in TENSORS if name != "StandardNormal"]
FIELDS = ("logits", "loc", "log_scale", "coupling")


def rebuilt(d: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same kind of distribution with changed parameters."""
    fields = [change(d.__dict__[name]) for name in FIELDS if name in d.__dict__]
    over_levels = isinstance(d, DiscretizedLogistic | DiscretizedLogisticMixture | CoupledLogisticMixture)
    return type(d)(*fields, *([d.levels] if over_levels else []))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(3)


def test_every_public_distribution_is_tested() -> None:
    assert set(MAKERS) == set(distributions.__all__) - {"central"}


# --- what holds for all ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TENSORS)
def test_shapes_of_samples_densities_and_points(name: str) -> None:
    d = MAKERS[name]()
    x = d.sample()
    point = central(d)
    assert isinstance(point, Tensor)
    assert x.shape == d.mean.shape == point.shape
    assert d.sample(torch.Size((2, 5))).shape == (2, 5, *x.shape)
    assert d.log_prob(x).shape == d.batch_shape
    assert x.dtype == torch.float64


@pytest.mark.parametrize("name", TENSORS)
def test_moments_of_samples(name: str) -> None:
    # A coupled mixture's mean is exact only inside the edges: keep it there.
    d = MAKERS[name]()
    if isinstance(d, CoupledLogisticMixture):
        d = CoupledLogisticMixture(d.logits, 0.1 * d.loc, d.log_scale * 0 - 3.5, 0.3 * d.coupling, 33)
    x = d.sample(torch.Size((20_000,)))
    error = (x.mean(0) - d.mean) / (x.std(0) / math.sqrt(len(x)) + 1e-9)
    assert error.abs().max() < 5


@pytest.mark.parametrize("name", WITH_PARAMETERS)
def test_samples_have_the_probability_they_are_given(name: str) -> None:
    """E[r(x) / p(x)] over x ~ p is one for every distribution r on the same values."""
    n = 20_000
    one = rebuilt(MAKERS[name](), lambda field: field[:1])
    other = rebuilt(one, lambda field: field + 0.05 * torch.randn_like(field))
    p, r = (rebuilt(d, lambda field: field.expand(n, *field.shape[1:])) for d in (one, other))
    x = p.sample()
    ratio = (r.log_prob(x) - p.log_prob(x)).exp()
    assert ((ratio.mean(0) - 1).abs() < 5 * ratio.std(0) / math.sqrt(n)).all()


@pytest.mark.parametrize("name", WITH_PARAMETERS)
@pytest.mark.parametrize("size", [30.0, -30.0, 1e4])
def test_gradients_are_finite_at_extremes_in_float32(name: str, size: float) -> None:
    leaves: list[Tensor] = []

    def extreme(field: Tensor, log_scale: bool) -> Tensor:
        value = max(size, -7.0) if log_scale else size
        leaves.append(torch.full(field.shape, value, requires_grad=True))
        return leaves[-1]

    d = MAKERS[name]()
    log_scale = d.__dict__.get("log_scale")
    x = d.sample().float()
    log_prob = rebuilt(d, lambda field: extreme(field, field is log_scale)).log_prob(x)
    log_prob.sum().backward()
    assert log_prob.isfinite().all()
    assert all(leaf.grad is not None and leaf.grad.isfinite().all() for leaf in leaves)


# --- masses and densities --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
@pytest.mark.parametrize("log_scale", [-7.0, -2.0, 0.5, 6.0])
@pytest.mark.parametrize("loc", [-30.0, -1.0, 0.123, 1.5])
def test_masses_of_a_discretized_logistic_sum_to_one_in_float32(levels: int, log_scale: float, loc: float) -> None:
    d = DiscretizedLogistic(torch.tensor([loc]), torch.tensor([log_scale]), levels)
    log_prob = d.log_prob(grid(levels).float()[:, None])
    assert torch.logsumexp(log_prob, 0).abs() < 2e-5
    assert log_prob.isfinite().all()


def test_masses_equal_differences_of_sigmoids() -> None:
    loc, log_scale = rand(6), rand(6) - 1
    d = DiscretizedLogistic(loc, log_scale, 9)
    for level, x in enumerate(grid(9)):
        upper = torch.sigmoid((x + 1 / 8 - loc) / log_scale.exp()) if level < 8 else torch.ones(6)
        lower = torch.sigmoid((x - 1 / 8 - loc) / log_scale.exp()) if level > 0 else torch.zeros(6)
        assert torch.allclose(d.log_prob(x.expand(6)).exp(), upper - lower, atol=1e-12)


def test_masses_far_in_the_tails_are_right_in_float32() -> None:
    loc, log_scale, x = 0.0, -4.0, grid(256)[200]
    single = DiscretizedLogistic(torch.tensor([loc]), torch.tensor([log_scale]), 256).log_prob(x.float()[None])
    double = DiscretizedLogistic(torch.tensor([loc]).double(), torch.tensor([log_scale]).double(), 256)
    assert torch.allclose(single.double(), double.log_prob(x[None]), rtol=1e-5)


@pytest.mark.parametrize("levels", [2, 17, 256])
def test_masses_of_a_mixture_sum_to_one(levels: int) -> None:
    d = DiscretizedLogisticMixture(rand(2, 3, 5), rand(2, 3, 5), rand(2, 3, 5) - 2, levels)
    log_prob = torch.stack([d.log_prob(x.expand(2, 5)) for x in grid(levels)])
    assert torch.allclose(torch.logsumexp(log_prob, 0), torch.zeros(2, 5).double(), atol=1e-10)


@pytest.mark.parametrize("levels", [2, 4, 5])
def test_masses_of_a_coupled_mixture_sum_to_one_over_all_colours(levels: int) -> None:
    d = coupled(rows=2, components=3, levels=levels)
    colours = itertools.product(grid(levels), repeat=3)
    log_prob = torch.stack([d.log_prob(torch.stack(c)[None, :, None, None].expand(2, 3, 1, 2)) for c in colours])
    assert log_prob.shape == (levels**3, 2, 1, 2)
    assert torch.allclose(torch.logsumexp(log_prob, 0), torch.zeros(2, 1, 2).double(), atol=1e-10)


def test_colours_of_a_coupled_mixture_come_as_often_as_it_says() -> None:
    d = coupled(rows=1, components=3, levels=3, width=1)
    n = 40_000
    code = ((d.sample(torch.Size((n,)))[:, 0, :, 0, 0] + 1).round() * torch.tensor([9, 3, 1])).sum(1).long()
    colours = itertools.product(grid(3), repeat=3)
    mass = torch.stack([d.log_prob(torch.stack(c)[None, :, None, None]) for c in colours]).exp().flatten()
    frequency = torch.bincount(code, minlength=27) / n
    assert ((frequency - mass).abs() < 5 * (mass * (1 - mass) / n).sqrt() + 1e-4).all()


def test_a_coupled_mixture_declares_that_channels_are_no_sites() -> None:
    d = coupled(rows=2, components=3, levels=5, height=4, width=7)
    assert d.event_shape == (3,)
    assert d.batch_shape == d.log_prob(d.sample()).shape == (2, 4, 7)


def test_coupling_with_one_component_is_the_chain_rule() -> None:
    d = coupled(rows=2, components=1, levels=6)
    x = d.sample()
    loc, k = d.loc[:, 0], d.coupling[:, 0]
    means = [loc[:, 0], loc[:, 1] + k[:, 0] * x[:, 0], loc[:, 2] + k[:, 1] * x[:, 0] + k[:, 2] * x[:, 1]]
    parts = [DiscretizedLogistic(mean, d.log_scale[:, 0, c], 6).log_prob(x[:, c]) for c, mean in enumerate(means)]
    assert torch.allclose(d.log_prob(x), sum(parts, torch.zeros(())), atol=1e-12)


@pytest.mark.parametrize("name", ["Gaussian", "StandardNormal"])
def test_densities_integrate_to_one(name: str) -> None:
    x = torch.linspace(-60, 60, 40_001, dtype=torch.float64)
    d = MAKERS[name]()
    density = d.log_prob(x[:, None, None].expand(-1, 3, 4)).exp()
    assert torch.allclose(torch.trapezoid(density, x, dim=0), torch.ones(3, 4).double(), atol=1e-6)


def test_levels_sum_to_one_and_index_the_right_logit() -> None:
    logits = rand(2, 6, 3)
    d = Levels(logits)
    log_prob = torch.stack([d.log_prob(x.expand(2, 3)) for x in grid(6)], dim=1)
    assert torch.allclose(log_prob, logits.log_softmax(1))
    assert torch.allclose(d.mean, (logits.softmax(1) * grid(6)[None, :, None]).sum(1))


# --- the same numbers as torch ---------------------------------------------------------------------------------------


def test_gaussian_is_torchs_normal() -> None:
    loc, log_scale, x = rand(3, 5), rand(3, 5), rand(3, 5)
    ours, theirs = Gaussian(loc, log_scale), Normal(loc, log_scale.exp())
    for name in ("mean", "stddev", "variance", "mode"):
        assert torch.allclose(getattr(ours, name), getattr(theirs, name))
    assert torch.allclose(ours.log_prob(x), theirs.log_prob(x), atol=1e-12)
    assert torch.allclose(ours.entropy(), theirs.entropy())
    assert torch.allclose(ours.cdf(x), theirs.cdf(x))
    torch.manual_seed(0)
    a = ours.rsample()
    torch.manual_seed(0)
    assert torch.allclose(a, theirs.rsample())


def test_student_t_is_torchs() -> None:
    loc, log_scale, df = rand(3, 4), rand(3, 4), rand(4).exp() + 0.5
    ours, theirs = StudentT(loc, log_scale, df), torch.distributions.StudentT(df, loc, log_scale.exp())
    x = rand(3, 4) * 5
    torch.testing.assert_close(ours.log_prob(x), theirs.log_prob(x), rtol=1e-12, atol=1e-12)
    normal = StudentT(loc, log_scale, 1e7).log_prob(x) - Gaussian(loc, log_scale).log_prob(x)
    assert (normal.abs() / (1 + Gaussian(loc, log_scale).log_prob(x).square())).max() < 1e-4
    assert torch.equal(central(StudentT(loc, log_scale, 0.9)), loc), "it has no mean"
    draws = ours.rsample(torch.Size((40_000,)))
    torch.testing.assert_close(draws.median(0).values, loc, rtol=0.1, atol=0.1)


def test_standard_normal_is_torchs_normal() -> None:
    d, reference, x = StandardNormal((3, 5), rand(1)), Normal(torch.zeros(3, 5).double(), 1.0), rand(3, 5)
    assert torch.allclose(d.log_prob(x), reference.log_prob(x), atol=1e-12)
    assert torch.allclose(d.entropy(), reference.entropy())
    assert torch.equal(d.mean, reference.mean)
    assert torch.equal(d.stddev, reference.stddev)


def test_bernoulli_is_torchs_bernoulli_and_linear_in_x() -> None:
    logits, x = rand(3, 5), (rand(3, 5) > 0).double()
    ours, theirs = Bernoulli(logits), TorchBernoulli(logits=logits)
    assert torch.allclose(ours.log_prob(x), theirs.log_prob(x), atol=1e-12)
    assert torch.allclose(ours.entropy(), theirs.entropy())
    assert torch.allclose(ours.mean, theirs.mean)
    grey = torch.rand(3, 5).double()
    expected = grey * ours.log_prob(torch.ones(())) + (1 - grey) * ours.log_prob(torch.zeros(()))
    assert torch.allclose(ours.log_prob(grey), expected, atol=1e-12)


def test_bernoulli_has_second_derivatives() -> None:
    logits = rand(3, 2).requires_grad_()
    x = (rand(3, 2) > 0).double()
    assert torch.autograd.gradgradcheck(lambda values: Bernoulli(values).log_prob(x), logits)


# --- divergences -----------------------------------------------------------------------------------------------------


NORMALS: dict[str, Callable[[], Distribution]] = {
    "Gaussian": lambda: Gaussian(rand(4), 0.5 * rand(4)),
    "StandardNormal": lambda: StandardNormal((4,), rand(1)),
    "Normal": lambda: Normal(rand(4), rand(4).exp()),
}


@pytest.mark.parametrize(("q", "p"), list(itertools.product(NORMALS, repeat=2)))
def test_closed_form_kl_is_torchs_and_monte_carlos(q: str, p: str) -> None:
    a, b = NORMALS[q](), NORMALS[p]()
    closed = kl_divergence(a, b)
    assert torch.allclose(closed, kl_divergence(Normal(a.mean, a.stddev), Normal(b.mean, b.stddev)), atol=1e-12)
    x = a.sample(torch.Size((40_000,)))
    ratio = a.log_prob(x) - b.log_prob(x)
    assert ((ratio.mean(0) - closed).abs() <= 5 * ratio.std(0) / 200 + 1e-9).all()


def test_kl_is_zero_and_flat_where_both_are_equal() -> None:
    loc, log_scale = torch.zeros(5, requires_grad=True), torch.zeros(5, requires_grad=True)
    kl = kl_divergence(Gaussian(loc, log_scale), StandardNormal((5,), loc))
    kl.sum().backward()
    assert not kl.any()
    assert loc.grad is not None and not loc.grad.any()
    assert log_scale.grad is not None and not log_scale.grad.any()


def test_kl_of_bernoullis_is_torchs() -> None:
    a, b = rand(4), rand(4)
    expected = kl_divergence(TorchBernoulli(logits=a), TorchBernoulli(logits=b))
    assert torch.allclose(kl_divergence(Bernoulli(a), Bernoulli(b)), expected)


# --- points ----------------------------------------------------------------------------------------------------------


def test_central_of_a_categorical_is_its_likeliest_value() -> None:
    assert central(Categorical(logits=torch.tensor([[0.0, 2.0, 1.0]]))).tolist() == [1]  # type: ignore[union-attr]


def test_central_of_levels_is_the_likeliest_level() -> None:
    d = Levels(torch.tensor([[0.0, 3.0, 1.0, 2.9]]).double().unsqueeze(2))
    assert torch.allclose(central(d), torch.tensor([[-1 / 3]]).double())  # type: ignore[arg-type]


@pytest.mark.parametrize(("levels", "tolerance"), [(2, 1e-9), (17, 1e-9), (256, 1 / 255)])
def test_central_of_a_logistic_is_close_to_its_exact_mean(levels: int, tolerance: float) -> None:
    d = DiscretizedLogistic(2 * rand(500), 3 * rand(500) - 3, levels)
    point = central(d)
    assert isinstance(point, Tensor)
    assert (point - d.mean).abs().max() <= tolerance
    exact = sum((x * d.log_prob(x.expand(500)).exp() for x in grid(levels)), torch.zeros(()))
    assert torch.allclose(d.mean, exact, atol=1e-9)


# --- named parts -----------------------------------------------------------------------------------------------------


def test_joint_lays_sites_side_by_side() -> None:
    a, b = Gaussian(rand(3, 4), rand(3, 4)), Categorical(logits=rand(3, 5))
    joint = Joint({"a": a, "b": b})
    x = joint.sample()
    log_prob = joint.log_prob(x)
    assert joint.batch_shape == log_prob.shape == (3, 5)
    assert torch.equal(log_prob, torch.cat([a.log_prob(x["a"]), b.log_prob(x["b"])[:, None]], dim=1))
    point = central(joint)
    assert isinstance(point, dict)
    assert torch.equal(point["a"], a.mean)
    assert torch.equal(point["b"], b.logits.argmax(-1))
    assert not joint.has_rsample
    assert Joint({"a": a}).rsample()["a"].shape == (3, 4)
    assert torch.equal(Joint({"a": a}).mean["a"], a.mean)


def test_no_global_setting_is_touched() -> None:
    # torch.compile switches the validation off for the whole process: set it, instead of trusting that no other test has.
    before = Distribution._validate_args
    try:
        Distribution.set_default_validate_args(True)
        for maker in MAKERS.values():
            maker().sample()
        assert Distribution._validate_args
        with pytest.raises(ValueError, match="within the support"):
            TorchBernoulli(torch.tensor(0.5)).log_prob(torch.tensor(2.0))
    finally:
        Distribution.set_default_validate_args(before)
