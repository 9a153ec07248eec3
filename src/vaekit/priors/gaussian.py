"""A factorized normal prior that depends on what is given."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vaekit.core import Conditional, Given, full
from vaekit.distributions import Gaussian as Normal
from vaekit.errors import ConfigError
from vaekit.nets.shapes import Shape, size

_LEAST = 5.0  # |log σ| stays below


class Gaussian(Conditional):
    """p(z | c) = N(μ, σ²) per site, with μ and log σ affine in the context and the groups before; it starts as N(0, I).

    With it a latent's place may depend on the context; with `standard` the latent is what the context does *not* say (style
    as against content).

    Args:
        shape: one latent's shape, `(d,)` or `(channels, height, width)`.
        state_shape: the summary of the groups before this one, if any.
        context_shape: the embedded context, if any.

    Raises:
        ConfigError: nothing is given that it could depend on.

    References:
        Sohn, Lee, Yan (2015), Learning structured output representation using deep conditional generative models.
    """

    def __init__(self, *, shape: Shape, state_shape: Shape | None = None, context_shape: Shape | None = None) -> None:
        super().__init__()
        given = [part for part in (state_shape, context_shape) if part is not None]
        if not given:
            raise ConfigError(
                "expected a context, or groups before this one, to depend on; got neither.\n"
                "  fix: data.context: [label], or prior: standard"
            )
        self.shape = shape
        self.affine = nn.Linear(sum(size(part) for part in given), 2 * size(shape))
        nn.init.zeros_(self.affine.weight)
        nn.init.zeros_(self.affine.bias)

    def forward(self, given: Given) -> Normal:
        """N(μ, σ²) given state and context, `(N, *shape)`."""
        parts = [part.flatten(1) for part in (given.state, given.context) if part is not None]
        loc, raw = full(self.affine(torch.cat(parts, dim=1))).chunk(2, dim=1)
        return Normal(loc.reshape(-1, *self.shape), bounded(raw).reshape(-1, *self.shape))


def bounded(raw: Tensor) -> Tensor:
    """log σ from an unbounded number, smoothly within (−5, 5)."""
    return _LEAST * torch.tanh(raw / _LEAST)
