"""Trimming leaves the rows with the lowest bounds out of the loss, and out of nothing else."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import small
import torch
from torch import Tensor

from vaekit.core import Batch, Latent, Trace
from vaekit.errors import ConfigError
from vaekit.likelihoods.bernoulli import Bernoulli
from vaekit.model import VAE, Encoder, Group
from vaekit.nets.mlp import Mlp
from vaekit.objectives.elbo import Elbo
from vaekit.posteriors.gaussian import Gaussian as Posterior
from vaekit.priors.standard import Standard


def trace_of(groups: tuple[int, ...] = (3,), rows: int = 20, samples: int = 1) -> Trace:
    """A pass in double precision through a small model with one or two groups."""
    torch.manual_seed(0)
    encoder, before, parts = Mlp((12,), in_shape=small.SPEC.shape), 0, []
    for number, size in enumerate(groups):
        state = (before,) if before else None
        posterior = Posterior(shape=(size,), evidence_shape=(12,), state_shape=state)
        parts.append(Group(f"z{number}", Standard(shape=(size,)), posterior))
        before += size
    decoder = Mlp((11,), in_shape=(before,))
    likelihood = Bernoulli("threshold", spec=small.SPEC, features=(11,), decoder=decoder)
    model = VAE(Encoder(encoder), parts, likelihood).double()
    batch = model.likelihood.prepare(next(small.make_data().train.batches(torch.arange(rows), rows)))
    return model(dataclasses.replace(batch, x=batch.x.double()), samples=samples)  # type: ignore[union-attr, no-any-return]


def rows_of(trace: Trace) -> tuple[Tensor, Tensor]:
    """log p(x | z) and the KL of every row, (B,) each."""
    kl = torch.stack([trace.expect(value).sum(1) for value in trace.kl().values()]).sum(0)
    return trace.expect(trace.log_likelihood().flatten(2).sum(2)), kl


@pytest.mark.parametrize("groups", [(3,), (3, 2)], ids=str)
def test_terms_are_averages_over_all_rows_and_groups(groups: tuple[int, ...]) -> None:
    trace = trace_of(groups, samples=4)
    scores, kl = rows_of(trace)
    for objective in (Elbo(), Elbo(trim=0.3), Elbo(trim=0.3, beta=5.0, free_bits=9.0)):
        terms = objective(trace, 0).terms
        assert terms["log_likelihood"].item() == pytest.approx(scores.mean().item(), rel=1e-12)
        assert terms["kl"].item() == pytest.approx(kl.mean().item(), rel=1e-12)
        assert terms["elbo"].item() == pytest.approx((scores - kl).mean().item(), rel=1e-12)


@pytest.mark.parametrize("groups", [(3,), (3, 2)], ids=str)
@pytest.mark.parametrize(("trim", "kept"), [(0.3, 14), (0.02, 20), (0.05, 19), (0.99, 1)])
def test_the_rows_with_the_lowest_bounds_are_left_out(trim: float, kept: int, groups: tuple[int, ...]) -> None:
    trace = trace_of(groups)
    scores, kl = rows_of(trace)
    rows = (scores - kl).argsort(descending=True)[:kept]
    loss = Elbo(trim=trim, beta=0.3)(trace, 0).loss
    assert loss.item() == pytest.approx((0.3 * kl - scores)[rows].mean().item(), rel=1e-12)


@pytest.mark.parametrize(
    "fields", [{}, {"beta": 0.4, "warmup": 10}, {"free_bits": 2.0}, {"free_bits_per_dimension": 0.1}]
)
def test_without_trimming_the_loss_is_the_plain_one_to_the_bit(fields: dict[str, Any]) -> None:
    """As it was before there was a `trim`, written out."""
    trace, objective = trace_of(groups=(4,)), Elbo(**fields)
    kl = trace.kl()["z0"].mean(0)
    paid = kl.sum(1).mean()
    if objective.free_bits_per_dimension:
        paid = kl.mean(0).clamp(min=objective.free_bits_per_dimension).sum().clamp(min=0.0)
    elif objective.free_bits:
        paid = paid.clamp(min=objective.free_bits)
    plain = objective.weight(3) * paid - trace.log_likelihood().flatten(2).sum(2)[0].mean()
    assert torch.equal(objective(trace, 3).loss, plain)
    assert torch.equal(dataclasses.replace(objective, trim=0.0)(trace, 3).loss, plain)


def test_what_is_trimmed_does_not_shape_the_model() -> None:
    """Two batches that differ in the worst rows alone give the same gradient; without trimming they do not."""
    found: dict[float, list[list[Tensor]]] = {0.0: [], 0.2: []}
    for other in (False, True):
        for trim, gradients in found.items():
            trace, values = with_strays(other)
            gradients.append(list(torch.autograd.grad(Elbo(trim=trim)(trace, 0).loss, values, allow_unused=True)))
    assert all(torch.equal(a, b) for a, b in zip(*found[0.2], strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(*found[0.0], strict=True))


def with_strays(other: bool) -> tuple[Trace, list[Tensor]]:
    """A pass over ten rows of which the third and the eighth lie far out: in one of two places."""
    generator = torch.Generator().manual_seed(6)
    x = torch.randn(10, 5, generator=generator, dtype=torch.float64)
    x[[2, 7]] = torch.tensor([[40.0], [-70.0]]).double() * (3 if other else 1)
    weight, scale = torch.full((5, 5), 0.1).double().requires_grad_(), torch.zeros(5).double().requires_grad_()
    mean = x @ weight
    q = torch.distributions.Normal(mean, torch.ones_like(mean))
    p = torch.distributions.Normal(torch.zeros_like(mean), torch.ones_like(mean))
    likelihood = torch.distributions.Normal(mean, scale.exp().expand(10, 5))
    return Trace(Batch(x), [Latent("z", mean, p, q)], likelihood, 1), [weight, scale]


@pytest.mark.parametrize("trim", [-0.1, 1.0, 1.5])
def test_shares_that_cannot_be_trimmed_are_refused(trim: float) -> None:
    with pytest.raises(ConfigError, match="trim"):
        small.config(objective={"name": "elbo", "trim": trim})
