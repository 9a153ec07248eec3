"""The standard normal prior."""

from __future__ import annotations

import torch
from torch import Tensor

from vaekit.core import Conditional, Given
from vaekit.distributions import StandardNormal


class Standard(Conditional):
    """p(z) = N(0, I), whatever is given. It has no parameters.

    Args:
        shape: one latent's shape, `(d,)` or `(channels, height, width)`.
        state_shape: ignored: the latent does not depend on the groups before it.

    References:
        Kingma, Welling (2014), Auto-encoding variational Bayes.
    """

    like: Tensor

    def __init__(self, *, shape: tuple[int, ...], state_shape: tuple[int, ...] | None = None) -> None:
        super().__init__()
        self.shape = shape
        self.register_buffer("like", torch.zeros(()), persistent=False)  # says the device and the data type

    def forward(self, given: Given) -> StandardNormal:
        """N(0, I) with `given.rows` rows."""
        return StandardNormal((given.rows, *self.shape), self.like)
