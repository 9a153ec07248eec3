"""A multilayer perceptron, for data of any shape."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Len, Lt
from torch import Tensor, nn

from vaekit.nets.activations import Activation, activation
from vaekit.nets.products import Linear
from vaekit.nets.shapes import Shape, size


class Mlp(nn.Module):
    """Fully connected layers; maps are flattened. Features are a vector of the last width.

    Args:
        hidden: widths of the layers, from input to output.
        activation: after every layer.
        residual: a layer that keeps the width adds its input to its output.
        layernorm: normalise what enters a layer (all but the first, whose input is data or a latent).
        dropout: probability with which a unit is dropped in training.
        skip: the input stands beside the features, so that what reads them has a linear path to it: a decoder with it
            holds a factor analysis.
        in_shape: shape of one input, `(d,)` or `(channels, height, width)`.
        grid: of no consequence here, since the features have no grid.
    """

    def __init__(
        self,
        hidden: Annotated[tuple[Annotated[int, Gt(0)], ...], Len(1)] = (512, 512),
        activation: Activation = "silu",
        residual: bool = False,
        layernorm: bool = False,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        skip: bool = False,
        *,
        in_shape: Shape,
        grid: tuple[int, int] | None = None,
    ) -> None:
        super().__init__()
        self.skip = skip
        widths = [size(in_shape), *hidden]
        self.layers = nn.ModuleList(
            _Layer(a, b, activation, residual and i > 0 and a == b, layernorm and i > 0, dropout)
            for i, (a, b) in enumerate(pairwise(widths))
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, *in_shape) → (N, hidden[-1]), with `skip` (N, hidden[-1] + size of the input)."""
        x = given = x.flatten(1)
        for layer in self.layers:
            x = layer(x)
        return torch.cat([x, given], dim=1) if self.skip else x


class _Layer(nn.Module):
    """act(W norm(x) + b), plus x where residual."""

    def __init__(self, a: int, b: int, act: Activation, residual: bool, layernorm: bool, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(a) if layernorm else None
        self.linear = Linear(a, b)
        self.activation = activation(act)
        self.dropout = nn.Dropout(dropout) if dropout else None
        self.residual = residual

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.activation(self.linear(x if self.norm is None else self.norm(x)))
        if self.dropout is not None:
            y = self.dropout(y)
        return x + y if self.residual else y
