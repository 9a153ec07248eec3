"""A linear-Gaussian VAE put together from the library's own parts: its log p(x) and its posterior are closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.distributions import MultivariateNormal

from vaekit.core import DataSpec
from vaekit.data.resident import ResidentRows
from vaekit.likelihoods.bernoulli import Bernoulli
from vaekit.likelihoods.gaussian import Gaussian
from vaekit.model import VAE, Encoder, Group
from vaekit.nets.mlp import Mlp
from vaekit.posteriors.gaussian import Gaussian as Posterior
from vaekit.priors.standard import Standard

D, LATENT, SIGMA = 7, 3, 0.6


@dataclass(frozen=True)
class Linear:
    """x = s · (W z + b + σ ε) + m with orthogonal columns of W, so that the exact posterior is a factorized normal."""

    weight: Tensor  # W (D, d)
    bias: Tensor  # b (D,)
    spec: DataSpec  # m, s

    @property
    def mean(self) -> Tensor:
        """Of the data, (D,)."""
        return self.bias * torch.tensor(self.spec.scale) + torch.tensor(self.spec.mean)

    @property
    def covariance(self) -> Tensor:
        """Of the data, (D, D)."""
        inner = self.weight @ self.weight.T + SIGMA**2 * torch.eye(D)
        return inner * torch.outer(torch.tensor(self.spec.scale), torch.tensor(self.spec.scale))

    def log_p(self, x: Tensor) -> Tensor:
        """log p(x) of raw data, (B,)."""
        return MultivariateNormal(self.mean.double(), self.covariance.double()).log_prob(x.double())

    def rows(self, n: int) -> ResidentRows:
        """Draws from the model."""
        generator = torch.Generator().manual_seed(5)
        noise = torch.randn(n, D, generator=generator)
        return ResidentRows(self.mean + noise @ torch.linalg.cholesky(self.covariance).T, self.spec)

    def model(self, error: float = 0.0) -> VAE:
        """The VAE whose posterior is exact; `error` shifts its mean and widens its scale."""
        likelihood = Gaussian("fixed", SIGMA, spec=self.spec, features=(LATENT,), decoder=nn.Identity())
        posterior = Posterior(shape=(LATENT,), evidence_shape=(D,))
        precision = 1 + self.weight.square().sum(0) / SIGMA**2  # (d,)
        gain = self.weight.T / SIGMA**2 / precision[:, None]  # (d, D)
        log_scale = -0.5 * precision.log() + error
        with torch.no_grad():
            likelihood.head.layer.weight.copy_(self.weight)
            likelihood.head.layer.bias.copy_(self.bias)
            posterior.head.layer.weight.copy_(torch.cat([gain, torch.zeros_like(gain)]))
            raw = 7 * torch.atanh(log_scale / 7)  # the posterior keeps log σ within ±7 in this way
            posterior.head.layer.bias.copy_(torch.cat([error - gain @ self.bias, raw]))
        group = Group("z", Standard(shape=(LATENT,)), posterior)
        return VAE(Encoder(nn.Identity()), [group], likelihood).eval().requires_grad_(False)


def linear(scale: float = 1.0) -> Linear:
    """The model of data in units that are `scale` times as small."""
    generator = torch.Generator().manual_seed(2)
    columns, _ = torch.linalg.qr(torch.randn(D, LATENT, generator=generator))
    factors = [scale * value for value in (0.5, 2.0, 1.0, 3.0, 0.2, 1.5, 0.7)]
    spec = DataSpec((D,), None, mean=tuple(0.3 * factor - 0.1 for factor in factors), scale=tuple(factors))
    return Linear(columns * torch.tensor([1.5, 1.0, 0.4]), torch.linspace(-1, 1, D), spec)


SPEC = DataSpec(shape=(1, 6, 5), levels=16)


def grey_rows(n: int, spec: DataSpec = SPEC) -> ResidentRows:
    """Grey images, darker towards one corner."""
    generator = torch.Generator().manual_seed(4)
    x = torch.rand(n, *spec.shape, generator=generator) ** torch.linspace(1, 3, spec.shape[-1])
    assert spec.levels is not None
    return ResidentRows((x * spec.levels).to(torch.uint8), spec)


def binary_model(spec: DataSpec = SPEC, latents: tuple[int, ...] = (4,), binarization: str = "dynamic") -> VAE:
    """A small untrained VAE with one or more latent groups; later posteriors see the values of earlier groups."""
    torch.manual_seed(1)
    encoder = Mlp((12,), in_shape=spec.shape)
    groups, before = [], 0
    for number, size in enumerate(latents):
        state = (before,) if before else None
        posterior = Posterior(shape=(size,), evidence_shape=(12,), state_shape=state)
        groups.append(Group(f"z{number}", Standard(shape=(size,)), posterior))
        before += size
    decoder = Mlp((11,), in_shape=(before,))
    likelihood = Bernoulli(binarization, spec=spec, features=(11,), decoder=decoder)  # type: ignore[arg-type]
    model = VAE(Encoder(encoder), groups, likelihood)
    with torch.no_grad():
        for value in model.parameters():
            value.mul_(math.sqrt(3))  # so that codes matter
    return model.eval().requires_grad_(False)
