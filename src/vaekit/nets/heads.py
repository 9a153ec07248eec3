"""The last layer: from features to the numbers that a distribution needs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vaekit.errors import ConfigError
from vaekit.nets.maps import flat
from vaekit.nets.products import Linear
from vaekit.nets.shapes import Shape, grid, is_map, size


class Head(nn.Module):
    """Features `(N, *in_shape)` → numbers `(N, *out_shape)`: a 1×1 convolution between maps, else a linear layer.

    Either has a bias for every number. With one a channel, as convolutions have it, a decoder could not start at the mean
    image, and would spend its first hundreds of steps on finding it.
    """

    def __init__(self, in_shape: Shape, out_shape: Shape) -> None:
        super().__init__()
        self.out_shape = out_shape
        self.pointwise = is_map(in_shape) and is_map(out_shape)
        self.layer: Linear | nn.Conv2d
        if self.pointwise:
            self.layer = nn.Conv2d(in_shape[0], out_shape[0], kernel_size=1, bias=False)
            self.site_bias = nn.Parameter(torch.zeros(out_shape))
        else:
            self.layer = Linear(size(in_shape), size(out_shape))

    def forward(self, features: Tensor) -> Tensor:
        """(N, *in_shape) → (N, *out_shape)."""
        if self.pointwise:
            return self.layer(features) + self.site_bias  # type: ignore[no-any-return]
        vector = flat(features) if features.ndim == 4 else features
        return self.layer(vector).reshape(-1, *self.out_shape)  # type: ignore[no-any-return]

    @torch.no_grad()
    def start_at(self, values: Tensor) -> None:
        """Set the biases, `(*out_shape)`."""
        bias = self.site_bias if self.pointwise else self.layer.bias
        assert bias is not None, "a head has a bias"
        bias.copy_(values.reshape(bias.shape))


def head(in_shape: Shape, out_shape: Shape) -> Head:
    """The head between two shapes; two maps must have the same grid."""
    if is_map(in_shape) and is_map(out_shape) and grid(in_shape) != grid(out_shape):
        raise ConfigError(
            f"expected a map of {_times(out_shape)} (height × width), got one of {_times(in_shape)}.\n"
            f"  fix: use the shape ({out_shape[0]}, {in_shape[1]}, {in_shape[2]}), a vector, or another network"
        )
    return Head(in_shape, out_shape)


def _times(shape: Shape) -> str:
    return f"{shape[1]} × {shape[2]}"
