"""The factorized normal posterior."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor, nn

from vaekit.core import Given, Posterior, Proposal, full
from vaekit.distributions import Gaussian as Normal
from vaekit.errors import ConfigError
from vaekit.nets.heads import head
from vaekit.nets.products import Linear
from vaekit.nets.shapes import Shape, grid, is_map, join, joined_shape, size

_LEAST, _MOST = 7.0, 2.0


class Gaussian(Posterior):
    """q(z | ·) = N(μ, σ²) per site, with μ and log σ affine in the evidence (and state and context, side by side).

    With `hidden` units between, what the evidence means can depend on the context. Without them a context only shifts μ, so
    that the codes of a class keep a place of their own, which a prior that is independent of the class does not know.

    log σ = 7 tanh(s / 7) below 0, 2 s / (2 + s) above: the identity near s = 0, and never outside (−7, 2), so that 1/σ² cannot
    overflow in a bad step, nor z run far from where the decoder has ever been; unlike a clamp it keeps a gradient that
    leads back. A posterior much wider than a standard prior is never the best one, so the upper bound costs nothing.

    Args:
        hidden: units of a layer (SiLU) before μ and log σ; 0: none. For vectors.
        shape: one latent's shape: a vector `(d,)`, or a map `(c, h, w)` on the evidence's own grid.
        evidence_shape: what the encoder yields for one example.
        state_shape: the summary of the groups before this one, if any.
        context_shape: the embedded context, if any.

    Raises:
        ConfigError: a latent map that does not have the evidence's grid; the message names that grid.

    References:
        Kingma, Welling (2014), Auto-encoding variational Bayes, appendix C.
    """

    def __init__(
        self,
        hidden: Annotated[int, Ge(0)] = 0,
        *,
        shape: Shape,
        evidence_shape: Shape,
        state_shape: Shape | None = None,
        context_shape: Shape | None = None,
    ) -> None:
        super().__init__()
        _check_grid(shape, evidence_shape)
        self.as_map = is_map(shape) and is_map(evidence_shape)
        given = [part for part in (evidence_shape, state_shape, context_shape) if part is not None]
        joined = given[0] if len(given) == 1 else joined_shape(given, self.as_map)
        if hidden and self.as_map:
            raise ConfigError("hidden units are for latent vectors, got a latent map.\n  fix: hidden: 0, or a vector")
        self.layer = nn.Sequential(Linear(size(joined), hidden), nn.SiLU()) if hidden else None
        self.head = head((hidden,) if hidden else joined, (2 * shape[0], *shape[1:]))

    def forward(self, given: Given) -> Proposal:
        """q(z | evidence, state, context), `(N, *shape)`."""
        parts = [part for part in (given.evidence, given.state, given.context) if part is not None]
        joined = join(parts, self.as_map)
        if self.layer is not None:
            joined = self.layer(joined.flatten(1))
        loc, raw = full(self.head(joined)).chunk(2, dim=1)
        return Proposal(Normal(loc, bounded(raw)))


def bounded(raw: Tensor) -> Tensor:
    """log σ from an unbounded number, smoothly within (−7, 2)."""
    return torch.where(raw < 0, _LEAST * torch.tanh(raw / _LEAST), _MOST * raw / (_MOST + raw.abs()))


def _check_grid(shape: Shape, evidence_shape: Shape) -> None:
    if len(shape) not in (1, 3):
        raise ConfigError(f"expected a latent of shape (d,) or (channels, height, width), got {shape}.")
    if is_map(shape) and is_map(evidence_shape) and grid(shape) != grid(evidence_shape):
        height, width = evidence_shape[1:]
        raise ConfigError(
            f"expected a latent map on the encoder's grid, {height} × {width}, got the shape {shape}.\n"
            f"  fix: use the shape ({shape[0]}, {height}, {width}), or a vector"
        )
