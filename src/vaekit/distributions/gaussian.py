"""Normal distributions by log σ, and the standard normal without parameters."""

from __future__ import annotations

import math

import torch
from torch import Size, Tensor
from torch.distributions import Distribution, Normal, register_kl
from torch.types import _size

_HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


class Gaussian(Normal):
    """N(x; μ, σ²) parameterized by μ and log σ: no `log(exp(·))` in the density, the entropy or the divergence.

    Args:
        loc: μ, any shape.
        log_scale: log σ, of a shape that broadcasts to `loc`'s.
    """

    def __init__(self, loc: Tensor, log_scale: Tensor) -> None:
        self.loc = loc
        self.log_scale = log_scale if log_scale.shape == loc.shape else log_scale.expand(loc.shape)
        Distribution.__init__(self, loc.shape, validate_args=False)

    @property
    def scale(self) -> Tensor:  # type: ignore[override]
        """σ."""
        return self.log_scale.exp()

    def log_prob(self, value: Tensor) -> Tensor:
        """log N(x; μ, σ²), per site."""
        standard = (value - self.loc) * torch.exp(-self.log_scale)
        return -0.5 * standard.square() - self.log_scale - _HALF_LOG_2PI

    def rsample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """μ + σ ε, with gradients to both."""
        shape = self._extended_shape(sample_shape)
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        return torch.addcmul(self.loc, noise, self.scale)

    def entropy(self) -> Tensor:
        """½ log 2πe + log σ, per site."""
        return self.log_scale + (0.5 + _HALF_LOG_2PI)


class StandardNormal(Normal):
    """N(x; 0, 1) of any shape; its parameters are made only where somebody asks for them.

    Args:
        shape: rows and sites.
        like: a tensor with the data type and the device to sample on.
    """

    def __init__(self, shape: _size, like: Tensor) -> None:
        self.like = like
        Distribution.__init__(self, Size(shape), validate_args=False)

    @property
    def loc(self) -> Tensor:  # type: ignore[override]
        """Zeros (one number, expanded)."""
        return self.like.new_zeros(()).expand(self.batch_shape)

    @property
    def scale(self) -> Tensor:  # type: ignore[override]
        """Ones (one number, expanded)."""
        return self.like.new_ones(()).expand(self.batch_shape)

    def log_prob(self, value: Tensor) -> Tensor:
        """log N(x; 0, 1), per site."""
        return -0.5 * value.square() - _HALF_LOG_2PI

    def rsample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """ε."""
        return torch.randn(self._extended_shape(sample_shape), dtype=self.like.dtype, device=self.like.device)

    def sample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """ε."""
        return self.rsample(sample_shape)

    def entropy(self) -> Tensor:
        """½ log 2πe, per site."""
        return self.like.new_full((), 0.5 + _HALF_LOG_2PI).expand(self.batch_shape)


@register_kl(Gaussian, StandardNormal)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_gaussian_standard(q: Gaussian, p: StandardNormal) -> Tensor:
    """½ (μ² + σ² − 1 − log σ²)."""
    log_variance = q.log_scale + q.log_scale
    return 0.5 * (q.loc.square() + torch.expm1(log_variance) - log_variance)


@register_kl(Gaussian, Gaussian)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_gaussians(q: Gaussian, p: Gaussian) -> Tensor:
    """½ (((μ_q − μ_p) / σ_p)² + (σ_q / σ_p)² − 1) − log (σ_q / σ_p)."""
    log_ratio = q.log_scale - p.log_scale
    distance = (q.loc - p.loc) * torch.exp(-p.log_scale)
    return 0.5 * (distance.square() + torch.expm1(2 * log_ratio)) - log_ratio


@register_kl(StandardNormal, StandardNormal)  # type: ignore[no-untyped-call, untyped-decorator]
def _kl_standards(q: StandardNormal, p: StandardNormal) -> Tensor:
    return q.like.new_zeros(()).expand(q.batch_shape)
