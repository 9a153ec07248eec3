"""Data with levels, by discretized logistics."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Generator, Tensor, nn
from torch.distributions import Distribution

from vaekit.core import DataSpec, Given
from vaekit.distributions import CoupledLogisticMixture, DiscretizedLogistic, DiscretizedLogisticMixture
from vaekit.errors import ConfigError
from vaekit.likelihoods.base import Decoded, floored, levels_of, need_levels, unfloored, unit

_COUPLING = (0.9, 0.5, 0.5)  # κ of green on red, of blue on red and on green: natural colours are alike
_START = -1.5  # log s: about the spread of natural images on [−1, 1]


class Logistic(Decoded):
    """p(x | z): for every site the mass of its level under a logistic, or a mixture of them, with predicted μ and s.

    For data with levels, where neighbouring levels are alike (grey or colour values). Figures are log-probabilities of the
    data itself: exact, and comparable with lossless compression.

    Args:
        components: of the mixture; 1 is a plain logistic.
        coupled: let a pixel's colours depend on each other, with one component for all three (needs three channels). Then a
            pixel is one event: values of single channels cannot be masked or scored.
        spec: what the data is.
        features: the decoder's output shape.
        decoder: the network from the latent state to features.
        mean: the mean of the raw training data, `(*shape)`: the first outputs are near it.

    Raises:
        DataError: continuous data.
        ConfigError: `coupled` for other data than images with three channels.

    References:
        Kingma et al. (2016), Improved variational inference with inverse autoregressive flow.
        Salimans et al. (2017), PixelCNN++.
    """

    def __init__(
        self,
        components: Annotated[int, Ge(1)] = 1,
        coupled: bool = False,
        *,
        spec: DataSpec,
        features: tuple[int, ...],
        decoder: nn.Module,
        mean: Tensor | None = None,
    ) -> None:
        parts = 4 if coupled else 2 if components == 1 else 3  # μ, log s, logits, κ
        super().__init__(parts * components, spec, features, decoder)
        self.levels = need_levels(spec, "logistic", "likelihood 'gaussian'")
        if coupled and (len(spec.shape) != 3 or spec.shape[0] != 3):
            raise ConfigError(
                f"coupled needs images with 3 channels, got data of shape {spec.shape}.\n  fix: set coupled to false"
            )
        self.components = components
        self.coupled = coupled
        self.floor = math.log(0.25 / (self.levels - 1))  # a quarter of half a level: all mass on one
        self.start_at(self._start(torch.zeros(spec.shape) if mean is None else unit(mean, self.levels)))

    def _start(self, mean: Tensor) -> Tensor:
        """The first μ spread around the mean, so that components differ; one log s; equal weights; colours alike."""
        spread = torch.linspace(-0.5, 0.5, self.components) if self.components > 1 else torch.zeros(1)
        loc = mean + spread.reshape(-1, *[1] * mean.ndim).to(mean)
        rest = [torch.full_like(loc, unfloored(max(_START, self.floor + 0.5), self.floor))]
        if self.components > 1 or self.coupled:
            rest.append(torch.zeros_like(loc))
        if self.coupled:
            on_red, on_red_too, on_green = _COUPLING
            loc[:, 1] = mean[1] - on_red * mean[0]  # what red does not explain: the components differ in red
            loc[:, 2] = mean[2] - on_red_too * mean[0] - on_green * mean[1]
            rest.append(torch.atanh(torch.tensor(_COUPLING)).to(mean).reshape(3, 1, 1).expand_as(loc))
        return torch.cat([loc, *rest])

    def forward(self, given: Given) -> Distribution:
        """The distribution of the levels, `(N, *shape)`; with `coupled`, of pixels."""
        numbers = self.parameters_given(given)
        numbers = numbers.reshape(len(numbers), -1, self.components, *self.spec.shape)  # (N, parts, M, *shape)
        loc, log_scale = numbers[:, 0], floored(numbers[:, 1], self.floor)
        if self.coupled:
            # A pixel's logits are the sums of its channels' numbers; |κ| < 1 keeps the start tame.
            logits, coupling = numbers[:, 2].sum(dim=2), torch.tanh(numbers[:, 3])
            return CoupledLogisticMixture(logits, loc, log_scale, coupling, self.levels)
        if self.components > 1:
            return DiscretizedLogisticMixture(numbers[:, 2], loc, log_scale, self.levels)
        return DiscretizedLogistic(loc[:, 0], log_scale[:, 0], self.levels)

    def convert(self, x: Tensor, generator: Generator | None) -> tuple[Tensor, float]:
        """Levels 0 … K−1 → −1 … 1. Masses need no determinant."""
        return unit(x, self.levels), 0.0

    def restore(self, x: Tensor) -> Tensor:
        """−1 … 1 → levels 0 … K−1."""
        return levels_of(x, self.levels)
