"""Student's t by log σ, for tails that are heavier than a normal's."""

from __future__ import annotations

import math

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions import StudentT as Base
from torch.types import _size

from vaekit.distributions.central import central


class StudentT(Base):
    """t_ν(x; μ, σ): (1 + ((x − μ) / σ)² / ν)^(−(ν + 1) / 2), up to a constant.

    Args:
        loc: μ, any shape.
        log_scale: log σ, of a shape that broadcasts to `loc`'s.
        df: the degrees of freedom ν, above 0: a number, or of a shape that broadcasts to `loc`'s.
    """

    def __init__(self, loc: Tensor, log_scale: Tensor, df: Tensor | float = 4.0) -> None:
        df = torch.as_tensor(df, dtype=loc.dtype, device=loc.device)
        self.df, self.loc = df.expand(loc.shape), loc
        self.log_scale = log_scale.expand(loc.shape)
        # In double precision and once, not for every site: lgamma is slow, and loses digits where ν is large.
        half = df.double() / 2
        constant = torch.lgamma(half + 0.5) - torch.lgamma(half) - 0.5 * torch.log(2 * half * math.pi)
        self.constant = constant.to(loc.dtype)
        Distribution.__init__(self, loc.shape, validate_args=False)

    @property
    def scale(self) -> Tensor:  # type: ignore[override]
        """σ; the standard deviation is larger, or infinite."""
        return self.log_scale.exp()

    def log_prob(self, value: Tensor) -> Tensor:
        """log t_ν(x; μ, σ), per site."""
        standard = (value - self.loc) * torch.exp(-self.log_scale)
        return self.constant - self.log_scale - 0.5 * (self.df + 1) * torch.log1p(standard.square() / self.df)

    def rsample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """μ + σ ε √(ν / χ²_ν), with gradients."""
        shape = self._extended_shape(sample_shape)
        noise = torch.randn(shape, dtype=self.loc.dtype, device=self.loc.device)
        chi2 = 2 * torch._standard_gamma(0.5 * self.df.expand(shape))
        return self.loc + self.scale * noise * torch.rsqrt(chi2 / self.df)


@central.register
def _(distribution: StudentT) -> Tensor:
    """μ: a mean exists for ν > 1 alone."""
    return distribution.loc
