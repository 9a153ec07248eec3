"""Any distribution over levels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.types import _size

from vaekit.distributions.central import central
from vaekit.distributions.logistic_mixture import pick


class Levels(Distribution):
    """A categorical over K levels, evenly spaced on [−1, 1], for every site.

    Args:
        logits: the levels on the axis after the rows, `(N, K, *sites)`.
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012

    def __init__(self, logits: Tensor) -> None:
        self.logits = logits
        self.levels = logits.shape[1]
        super().__init__(Size((logits.shape[0], *logits.shape[2:])), validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """log P(x), per site, for x on the levels −1 … 1."""
        index = ((value + 1) * ((self.levels - 1) / 2)).round().long()
        return -F.cross_entropy(self.logits, index, reduction="none")

    @torch.no_grad()
    def sample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """Levels."""
        axis = 1 - self.logits.ndim
        index = pick(self.logits.expand(*sample_shape, *self.logits.shape), axis).squeeze(axis)
        return self.at(index)

    @property
    def mean(self) -> Tensor:
        """E[x]."""
        values = self.at(torch.arange(self.levels, device=self.logits.device))
        return torch.einsum("nk...,k->n...", self.logits.softmax(dim=1), values)

    def at(self, index: Tensor) -> Tensor:
        """Level numbers 0 … K−1 → levels −1 … 1."""
        return index.to(self.logits.dtype) * (2 / (self.levels - 1)) - 1


@central.register
def _(distribution: Levels) -> Tensor:
    return distribution.at(distribution.logits.argmax(dim=1))
