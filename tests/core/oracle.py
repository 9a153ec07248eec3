"""The linear-Gaussian model: p(x), p(z_l | z_<l, x) and the bound at any affine normal q are closed form."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal
from toys import NormalLikelihood, NormalPosterior, NormalPrior

from vaekit.core import Given, Posterior, Proposal
from vaekit.model import VAE


@dataclass(frozen=True)
class Factor:
    """N(v; A · (all before) + b, σ²)."""

    weight: Tensor  # (size, before)
    bias: Tensor  # (size,)
    log_scale: Tensor  # (size,)


@dataclass(frozen=True)
class LinearGaussian:
    """The normal distribution of (z_1, ..., z_L, x)."""

    sizes: tuple[int, ...]  # of z_1 ... z_L and x
    mean: Tensor  # (D,)
    covariance: Tensor  # (D, D)

    @property
    def latents(self) -> int:
        """All latent numbers."""
        return sum(self.sizes[:-1])

    def log_p(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """log p(x_observed), (B,)."""
        observed = torch.ones_like(x) if mask is None else mask
        mean, covariance = self.mean[self.latents :], self.covariance[self.latents :, self.latents :]
        outside = (1 - observed).sum(1) * 0.5 * math.log(2 * math.pi)  # what was not observed scores as N(0; 0, 1)
        both = observed[:, :, None] * observed[:, None]
        normal = MultivariateNormal(mean * observed, both * covariance + torch.diag_embed(1 - observed))
        return normal.log_prob(torch.where(observed.bool(), x, 0.0)) + outside

    def posterior(self, group: int, before: Tensor, x: Tensor, mask: Tensor) -> MultivariateNormal:
        """p(z_l | z_<l, x_observed): (N, before), (N, data), (N, data) → rows without sites."""
        start = sum(self.sizes[:group])
        own = slice(start, start + self.sizes[group])
        given = torch.cat([torch.arange(start), torch.arange(self.latents, len(self.mean))])
        known = torch.cat([torch.ones_like(before), mask], 1)
        inner = known[:, :, None] * known[:, None] * self.covariance[given][:, given] + torch.diag_embed(1 - known)
        cross = self.covariance[own][:, given] * known[:, None]  # (N, own, given)
        gain = torch.linalg.solve(inner, cross, left=False)
        surprise = known * (torch.cat([before, torch.where(mask.bool(), x, 0.0)], 1) - self.mean[given])
        covariance = self.covariance[own, own] - gain @ cross.mT
        return MultivariateNormal(self.mean[own] + (gain @ surprise[:, :, None])[:, :, 0], covariance)

    def elbo(self, q: Sequence[Factor], x: Tensor) -> Tensor:
        """E_q[log p(x, z) − log q(z)] for one x (data,), ()."""
        mean, covariance = joint(q)
        p = MultivariateNormal(self.mean, self.covariance)
        energy = (
            p.log_prob(torch.cat([mean, x])) - 0.5 * (p.precision_matrix[: len(mean), : len(mean)] * covariance).sum()
        )
        return energy + sum((f.log_scale + 0.5 * math.log(2 * math.pi * math.e)).sum() for f in q)


def joint(factors: Sequence[Factor]) -> tuple[Tensor, Tensor]:
    """The mean (D,) and covariance (D, D) of a chain of affine normal factors."""
    mean, covariance = torch.zeros(0), torch.zeros(0, 0)
    for factor in factors:
        across = factor.weight @ covariance  # (size, before)
        own = across @ factor.weight.T + torch.diag((2 * factor.log_scale).exp())
        covariance = torch.cat([torch.cat([covariance, across.T], 1), torch.cat([across, own], 1)])
        mean = torch.cat([mean, factor.weight @ mean + factor.bias])
    return mean, covariance


def oracle(model: VAE) -> LinearGaussian:
    """The closed form of a toy VAE whose members are affine, as it stands now (differentiable)."""
    factors = []
    for member in [*(group.prior for group in model.groups.in_order()), model.likelihood]:
        assert isinstance(member, NormalPrior | NormalLikelihood)
        weight, bias = member.mean.weight, member.mean.bias
        factors.append(Factor(weight, bias, member.log_scale))
    return LinearGaussian(tuple(len(factor.bias) for factor in factors), *joint(factors))


def exact_elbo(model: VAE, x: Tensor) -> Tensor:
    """The bound of a toy VAE whose members and posteriors are affine, without sampling, (B,)."""
    p = oracle(model)
    return torch.stack([p.elbo(q_factors(model, row), row) for row in x])


def q_factors(model: VAE, x: Tensor) -> list[Factor]:
    """Its posteriors at one x (data,): the part of the weight that stands before x's is on z_<l."""
    factors = []
    for group in model.groups.in_order():
        q = group.posterior
        assert isinstance(q, NormalPosterior)
        before = q.mean.weight.shape[1] - len(x)
        bias = q.mean.bias + q.mean.weight[:, before:] @ x
        factors.append(Factor(q.mean.weight[:, :before], bias, q.log_scale))
    return factors


class ExactPosterior(Posterior):
    """The oracle's own p(z_l | z_<l, x); the evidence is (x·m, m) side by side, or x."""

    def __init__(self, p: LinearGaussian, group: int) -> None:
        super().__init__()
        self.p = p
        self.group = group

    def forward(self, given: Given) -> Proposal:
        assert isinstance(given.evidence, Tensor)
        data = self.p.sizes[-1]
        x, mask = given.evidence[:, :data], given.evidence[:, data:]
        before = x[:, :0] if given.state is None else given.state
        return Proposal(self.p.posterior(self.group, before, x, mask if mask.shape[1] else torch.ones_like(x)))


def make_exact(model: VAE) -> LinearGaussian:
    """Put the exact posteriors into a toy VAE whose members are affine."""
    p = oracle(model)
    for index, group in enumerate(model.groups.in_order()):
        group.posterior = ExactPosterior(p, index)
    return p
