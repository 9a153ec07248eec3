"""Data with few levels, by the probability of each."""

from __future__ import annotations

import torch
from torch import Generator, Tensor, nn

from vaekit.core import DataSpec, Given
from vaekit.distributions import Levels
from vaekit.distributions.logistic import log_mass
from vaekit.errors import DataError
from vaekit.likelihoods.base import Decoded, levels_of, need_levels, unit

_MOST = 256
_START = -1.0  # log s of the logistic whose masses are the first probabilities


class Categorical(Decoded):
    """p(x | z): for every site a probability for each of its K levels. No two levels are taken to be alike.

    The most flexible likelihood for data with levels, and the largest: K numbers a site. For 8-bit images `logistic` is
    cheaper and learns faster.

    Args:
        spec: what the data is.
        features: the decoder's output shape.
        decoder: the network from the latent state to features.
        mean: the mean of the raw training data, `(*shape)`: the first probabilities lie around it.

    Raises:
        DataError: continuous data, or more than 256 levels.
    """

    def __init__(
        self, *, spec: DataSpec, features: tuple[int, ...], decoder: nn.Module, mean: Tensor | None = None
    ) -> None:
        levels = need_levels(spec, "categorical", "likelihood 'gaussian'")
        if levels > _MOST:
            raise DataError(
                f"likelihood 'categorical' takes at most {_MOST} levels, got {levels}.\n  fix: use likelihood 'logistic'"
            )
        super().__init__(levels, spec, features, decoder)
        if mean is None:
            self.start_at(torch.zeros(spec.shape))
        else:
            values = unit(torch.arange(levels).to(mean.device), levels).reshape(-1, *[1] * mean.ndim)
            self.start_at(log_mass(values, unit(mean, levels), torch.tensor(_START).to(values), levels))

    def forward(self, given: Given) -> Levels:
        """A categorical over the levels of every site, `(N, *shape)`."""
        return Levels(self.parameters_given(given))

    def convert(self, x: Tensor, generator: Generator | None) -> tuple[Tensor, float]:
        """Levels 0 … K−1 → −1 … 1. Probabilities need no determinant."""
        return unit(x, self.numbers), 0.0

    def restore(self, x: Tensor) -> Tensor:
        """−1 … 1 → levels 0 … K−1."""
        return levels_of(x, self.numbers)
