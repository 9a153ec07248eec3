"""A plain convolutional network, for images of any size."""

from __future__ import annotations

from itertools import pairwise
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Len
from torch import Tensor, nn

from vaekit.nets.activations import Activation, activation
from vaekit.nets.maps import Grid, Root, Upsample, halve, need_map, normalisation, pyramid
from vaekit.nets.shapes import Shape


class Conv(nn.Module):
    """Stages of 3×3 convolutions, each of which halves the grid (an encoder) or doubles it (a decoder).

    Features are maps: of an encoder `(channels[-1], h, w)` on the coarsest grid, of a decoder `(channels[0], *grid)`.
    Odd and non-square sizes come out exactly.

    Args:
        channels: of every stage, from the data's side inwards; a decoder goes through them backwards.
        layers: convolutions in a stage, the strided one included.
        activation: after every convolution.
        norm: after every convolution: `none`, or `group` (of channels, within an example).
        in_shape: shape of one input: the image of an encoder; of a decoder a latent vector, or a map on its coarsest grid.
        grid: height and width that a decoder must reach; None for an encoder.

    Raises:
        ConfigError: vectors where images are needed; a latent map on another grid (the message names the right one).

    References:
        Odena, Dumoulin, Olah (2016), Deconvolution and checkerboard artifacts (upsampling before convolving).
    """

    def __init__(
        self,
        channels: Annotated[tuple[Annotated[int, Gt(0)], ...], Len(1)] = (32, 64),
        layers: Annotated[int, Ge(1)] = 1,
        activation: Activation = "silu",
        norm: Literal["none", "group"] = "none",
        *,
        in_shape: Shape,
        grid: Grid | None = None,
    ) -> None:
        super().__init__()
        need_map("conv", in_shape, grid)
        style = _Style(layers, activation, norm)
        if grid is None:
            self.body = nn.Sequential(*style.down(in_shape[0], list(channels)))
        else:
            self.body = nn.Sequential(*style.up(in_shape, list(channels), grid))

    def forward(self, x: Tensor) -> Tensor:
        """(N, *in_shape) → (N, *features)."""
        return self.body(x)  # type: ignore[no-any-return]


class _Style:
    """How the layers of a network look."""

    def __init__(self, layers: int, act: Activation, norm: str) -> None:
        self.layers = layers
        self.act = act
        self.norm = norm

    def down(self, inputs: int, channels: list[int]) -> list[nn.Module]:
        """Stages that halve."""
        parts: list[nn.Module] = []
        for a, b in pairwise([inputs, *channels]):
            parts += [*self.after(halve(a, b), b), *self.flat(b)]
        return parts

    def up(self, in_shape: Shape, channels: list[int], grid: Grid) -> list[nn.Module]:
        """Stages that double, up to the grid."""
        grids = pyramid(grid, len(channels))
        parts = self.after(Root(in_shape, channels[-1], grids[-1]), channels[-1])
        for stage in reversed(range(len(channels))):
            a, b = channels[stage], channels[max(stage - 1, 0)]
            parts += [*self.flat(a), *self.after(Upsample(a, b, grids[stage]), b)]
        return parts

    def flat(self, channels: int) -> list[nn.Module]:
        """The convolutions of a stage that keep the grid."""
        parts: list[nn.Module] = []
        for _ in range(self.layers - 1):
            parts += self.after(nn.Conv2d(channels, channels, kernel_size=3, padding=1), channels)
        return parts

    def after(self, layer: nn.Module, channels: int) -> list[nn.Module]:
        """A layer with what follows it."""
        norm = [normalisation(self.norm, channels)] if self.norm != "none" else []
        return [layer, *norm, activation(self.act)]
