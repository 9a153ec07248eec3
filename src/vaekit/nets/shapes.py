"""Shapes of features: what a network turns a shape into, and which grid a map has."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from vaekit.errors import ConfigError

Shape = tuple[int, ...]


def size(shape: Shape) -> int:
    """How many numbers one example of that shape has."""
    return math.prod(shape)


def is_map(shape: Shape) -> bool:
    """Whether a shape is a map `(channels, height, width)`, not a vector `(d,)`."""
    return len(shape) == 3


def grid(shape: Shape) -> tuple[int, int] | None:
    """The `(height, width)` of a map, None for a vector.

    A latent of shape `(c, *grid(output_shape(encoder, in_shape)))` fits an encoder's map.

    >>> grid((64, 7, 5))
    (7, 5)
    """
    return (shape[1], shape[2]) if is_map(shape) else None


def output_shape(net: nn.Module, in_shape: Shape) -> Shape:
    """The shape of one example's features, found by a batch of zeros: `(N, *in_shape)` → `(N, *features)`."""
    training = net.training
    net.eval()
    try:
        features = _zeros_through(net, in_shape)
    finally:
        net.train(training)
    if not isinstance(features, Tensor) or features.ndim not in (2, 4) or len(features) != 2:
        raise ConfigError(
            f"network '{type(net).__name__}' must return features (N, d) or (N, channels, height, width); "
            f"for an input {(2, *in_shape)} it returned "
            f"{tuple(features.shape) if isinstance(features, Tensor) else type(features).__name__}.\n"
            "  fix: return one tensor whose first axis is the rows"
        )
    return tuple(features.shape[1:])


def _zeros_through(net: nn.Module, in_shape: Shape) -> object:
    parameter = next(net.parameters(), torch.zeros(()))
    zeros = torch.zeros(2, *in_shape, device=parameter.device, dtype=parameter.dtype)
    with torch.no_grad():
        try:
            return net(zeros)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            raise ConfigError(
                f"network '{type(net).__name__}' does not accept inputs of shape {in_shape}: {error}\n"
                "  fix: choose a network for this shape, or change its sizes"
            ) from error


def joined_shape(shapes: list[Shape], as_map: bool) -> Shape:
    """The shape of `join` applied to features of these shapes."""
    if not as_map:
        return (sum(size(shape) for shape in shapes),)
    grids = {grid(shape) for shape in shapes} - {None}
    if len(grids) != 1:
        raise ConfigError(
            f"maps can be joined only on one grid; got the grids {sorted(g for g in grids if g)} from {shapes}.\n"
            "  fix: give the latent map the encoder's grid, or make it a vector"
        )
    channels = sum(shape[0] for shape in shapes)
    return (channels, *next(g for g in grids if g))


def join(parts: list[Tensor], as_map: bool) -> Tensor:
    """Features side by side: flattened vectors `(N, d)`, or maps `(N, c, h, w)` over whose grid vectors are spread."""
    if len(parts) == 1:
        return parts[0]
    if not as_map:
        return torch.cat([part.flatten(1) for part in parts], dim=1)
    height, width = next(part.shape[2:] for part in parts if part.ndim == 4)
    spread = [part if part.ndim == 4 else part[..., None, None].expand(-1, -1, height, width) for part in parts]
    return torch.cat(spread, dim=1)
