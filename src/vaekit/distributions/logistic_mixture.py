"""Mixtures of discretized logistics: per site, and per pixel with coupled channels."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.types import _size

from vaekit.distributions.central import central
from vaekit.distributions.logistic import central_logistic, draw, exact_mean, log_mass


class DiscretizedLogisticMixture(Distribution):
    """Σ_m π_m DiscretizedLogistic(x; μ_m, s_m), for every site by itself.

    Args:
        logits: of the weights π, components on the axis after the rows, `(N, M, *sites)`.
        loc: μ, the same shape.
        log_scale: log s, the same shape.
        levels: K.
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012

    def __init__(self, logits: Tensor, loc: Tensor, log_scale: Tensor, levels: int) -> None:
        self.logits = logits
        self.loc = loc
        self.log_scale = log_scale
        self.levels = levels
        super().__init__(Size((loc.shape[0], *loc.shape[2:])), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(x), per site, for x on the levels −1 … 1."""
        parts = log_mass(value.unsqueeze(1), self.loc, self.log_scale, self.levels)
        return torch.logsumexp(torch.log_softmax(self.logits, dim=1) + parts, dim=1)

    @torch.no_grad()
    def sample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """Levels: a component at random, then a draw from it."""
        shape = Size((*sample_shape, *self.loc.shape))
        axis = 1 - self.loc.ndim
        which = pick(self.logits.expand(shape), axis)
        loc, log_scale = (part.expand(shape).gather(axis, which).squeeze(axis) for part in (self.loc, self.log_scale))
        return draw(loc, log_scale, self.levels)

    @property
    def mean(self) -> Tensor:
        """E[x], exactly."""
        return (self.logits.softmax(dim=1) * exact_mean(self.loc, self.log_scale, self.levels)).sum(dim=1)


class CoupledLogisticMixture(Distribution):
    """Σ_m π_m Π_c DiscretizedLogistic(x_c; μ_m,c + Σ_d<c κ x_d, s_m,c): colours of a pixel depend on each other.

    The means of later channels are linear in the actual values of the earlier ones, and the channels share the component.
    So a pixel is one event: `log_prob` has the sites `(H, W)`, none for channels.

    Args:
        logits: of the weights π, `(N, M, H, W)`.
        loc: μ, `(N, M, 3, H, W)`.
        log_scale: log s, `(N, M, 3, H, W)`.
        coupling: κ: of channel 1 on 0, of 2 on 0, of 2 on 1, `(N, M, 3, H, W)`.
        levels: K.

    References:
        Salimans et al. (2017), PixelCNN++, sections 2.1 and 2.2.
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012

    def __init__(self, logits: Tensor, loc: Tensor, log_scale: Tensor, coupling: Tensor, levels: int) -> None:
        self.logits = logits
        self.loc = loc
        self.log_scale = log_scale
        self.coupling = coupling
        self.levels = levels
        super().__init__(Size((loc.shape[0], *loc.shape[3:])), Size((loc.shape[2],)), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(x) of every pixel, `(N, 3, H, W)` → `(N, H, W)`, for x on the levels −1 … 1."""
        x = value.unsqueeze(1)  # (N, 1, 3, H, W)
        loc = torch.cat([shifted(self.loc, self.coupling, x, channel) for channel in range(3)], dim=2)
        parts = log_mass(x, loc, self.log_scale, self.levels).sum(dim=2)
        return torch.logsumexp(torch.log_softmax(self.logits, dim=1) + parts, dim=1)

    @torch.no_grad()
    def sample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """Levels `(*sample_shape, N, 3, H, W)`: a component for the pixel, then one channel after the other."""
        repeats = Size(sample_shape).numel()
        which = pick(self.logits.repeat(repeats, 1, 1, 1), 1).unsqueeze(2)  # (R·N, 1, 1, H, W)
        loc, log_scale, coupling = (
            part.repeat(repeats, 1, 1, 1, 1).gather(1, which.expand(-1, -1, 3, -1, -1))
            for part in (self.loc, self.log_scale, self.coupling)
        )
        x = torch.zeros_like(loc)
        for channel in range(3):
            mean = shifted(loc, coupling, x, channel)
            x[:, :, channel : channel + 1] = draw(mean, log_scale[:, :, channel : channel + 1], self.levels)
        return x.reshape(*sample_shape, len(self.loc), *x.shape[2:])

    @property
    def mean(self) -> Tensor:
        """E[x], `(N, 3, H, W)`: each component's channel means, passed on to its later channels.

        Exact where the earlier channels' spread does not push the later ones' over the edges of [−1, 1].
        """
        return self._average(exact_mean)

    def _average(self, one: Callable[[Tensor, Tensor, int], Tensor]) -> Tensor:
        """The mixture of the components' means, each channel's by `one(loc, log_scale, levels)`."""
        x = torch.zeros_like(self.loc)
        for channel in range(3):
            here = slice(channel, channel + 1)
            mean = one(shifted(self.loc, self.coupling, x, channel), self.log_scale[:, :, here], self.levels)
            x = torch.cat([x[:, :, :channel], mean, x[:, :, channel + 1 :]], dim=2)
        return (self.logits.softmax(dim=1).unsqueeze(2) * x).sum(dim=1)


def shifted(loc: Tensor, coupling: Tensor, x: Tensor, channel: int) -> Tensor:
    """The mean of one channel given the earlier channels of x, `(N, M, 1, H, W)`."""
    first = (0, 0, 1)[channel]
    mean = loc[:, :, channel : channel + 1]
    for earlier in range(channel):
        weight = coupling[:, :, first + earlier : first + earlier + 1]
        mean = mean + weight * x[:, :, earlier : earlier + 1]
    return mean


def pick(logits: Tensor, axis: int) -> Tensor:
    """A component at random by its logits, the axis kept with size 1 (the smallest of exponentials with rates π)."""
    return (logits.softmax(axis) / torch.empty_like(logits).exponential_()).argmax(axis, keepdim=True)


@central.register
def _(distribution: DiscretizedLogisticMixture) -> Tensor:
    means = central_logistic(distribution.loc, distribution.log_scale, distribution.levels)
    return (distribution.logits.softmax(dim=1) * means).sum(dim=1)


@central.register
def _(distribution: CoupledLogisticMixture) -> Tensor:
    return distribution._average(central_logistic)
