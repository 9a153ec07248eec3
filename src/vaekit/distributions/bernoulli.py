"""Bernoulli by logits: the hot path of a binary likelihood."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Size, Tensor
from torch.distributions import Bernoulli as TorchBernoulli
from torch.distributions import Distribution
from torch.types import _size


class Bernoulli(TorchBernoulli):
    """p(x = 1) = σ(l). The density is linear in x, so it also scores x in [0, 1]: the mean over a Bernoulli draw of x.

    Args:
        logits: l, any shape.
    """

    def __init__(self, logits: Tensor) -> None:
        self.logits = self._param = logits
        Distribution.__init__(self, logits.shape, validate_args=False)

    def log_prob(self, value: Tensor) -> Tensor:
        """x l − log(1 + eˡ), per site."""
        logits = self.logits
        if value.shape != logits.shape:
            value, logits = torch.broadcast_tensors(value, logits)  # type: ignore[no-untyped-call]
        return -F.binary_cross_entropy_with_logits(logits, value, reduction="none")

    @torch.no_grad()
    def sample(self, sample_shape: _size = Size()) -> Tensor:  # noqa: B008
        """Zeros and ones."""
        shape = self._extended_shape(sample_shape)
        uniform = torch.rand(shape, dtype=self.logits.dtype, device=self.logits.device)
        return (uniform < self.probs).to(self.logits.dtype)
