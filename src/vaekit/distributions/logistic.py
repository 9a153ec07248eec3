"""Logistic distributions over levels: the mass of every level of 8-bit (or other) data."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.types import _size

from vaekit.distributions.central import central

_FEW = 32  # levels up to which the exact mean is as cheap as its approximation


class DiscretizedLogistic(Distribution):
    """K levels, evenly spaced on [−1, 1], with the mass that a logistic gives to their bins; the edge bins are open.

    P(x) = F((x + h − μ) / s) − F((x − h − μ) / s), with F the sigmoid and h = 1 / (K − 1) half the distance of two levels.

    Args:
        loc: μ, any shape.
        log_scale: log s, the same shape.
        levels: K.

    References:
        Kingma et al. (2016), Improved variational inference with inverse autoregressive flow, appendix.
        Salimans et al. (2017), PixelCNN++, section 2.1.
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012

    def __init__(self, loc: Tensor, log_scale: Tensor, levels: int) -> None:
        self.loc = loc
        self.log_scale = log_scale
        self.levels = levels
        super().__init__(loc.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(x), per site, for x on the levels −1 … 1."""
        return log_mass(value, self.loc, self.log_scale, self.levels)

    @torch.no_grad()
    def sample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """Levels."""
        shape = self._extended_shape(sample_shape)
        return draw(self.loc.expand(shape), self.log_scale.expand(shape), self.levels)

    @property
    def mean(self) -> Tensor:
        """E[x], exactly; a sum over the levels."""
        return exact_mean(self.loc, self.log_scale, self.levels)


@central.register
def _(distribution: DiscretizedLogistic) -> Tensor:
    return central_logistic(distribution.loc, distribution.log_scale, distribution.levels)


def log_mass(x: Tensor, loc: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """log P(x) of a level, from tensors that broadcast against each other.

    With a > b the two ends of the bin in units of s, F(a) − F(b) = F(a) F(−b) (1 − e^(b − a)): every factor is accurate in
    the logarithm, however far out in a tail x lies, so nothing is clipped or approximated.
    """
    half = 1 / (levels - 1)
    inverse = torch.exp(-log_scale)
    centred = x - loc
    below = F.logsigmoid((centred + half) * inverse)  # log F(a)
    above = F.logsigmoid((half - centred) * inverse)  # log F(−b)
    inner = below + above + log_complement(2 * half * inverse, math.log(2 * half) - log_scale)
    return torch.where(x < half - 1, below, torch.where(x > 1 - half, above, inner))


def log_complement(width: Tensor, log_width: Tensor) -> Tensor:
    """log(1 − e^(−w)) from w and log w: also where w is too small for a float."""
    least = 1e-4
    return torch.where(width < least, log_width - width / 2, torch.log(-torch.expm1(-width.clamp(min=least))))


def draw(loc: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """Levels at random: a logistic draw, moved to the nearest level."""
    uniform = torch.rand_like(loc)
    x = loc + torch.exp(log_scale) * (uniform.log() - torch.log1p(-uniform))
    return nearest_level(x, levels)


def nearest_level(x: Tensor, levels: int) -> Tensor:
    """Any numbers → the nearest of the levels −1 … 1."""
    return ((x.clamp(-1, 1) + 1) * ((levels - 1) / 2)).round() * (2 / (levels - 1)) - 1


def exact_mean(loc: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """E[x] = 1 − 2h Σ F(edge) over the edges between levels."""
    half = 1 / (levels - 1)
    inverse = torch.exp(-log_scale)
    total = torch.zeros_like(loc)
    for level in range(levels - 1):
        total += torch.sigmoid(((2 * level + 1) * half - 1 - loc) * inverse)
    return 1 - 2 * half * total


def central_logistic(loc: Tensor, log_scale: Tensor, levels: int) -> Tensor:
    """E[x], of many levels by the mean of the continuous logistic clipped to [−1, 1], in closed form (off by < a level)."""
    if levels <= _FEW:
        return exact_mean(loc, log_scale, levels)
    inverse = torch.exp(-log_scale)
    area = F.softplus((1 - loc) * inverse) - F.softplus((-1 - loc) * inverse)
    return (1 - torch.exp(log_scale) * area).clamp(-1, 1)
