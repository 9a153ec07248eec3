"""A residual network, for images of any size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Len
from torch import Tensor, nn

from vaekit.errors import ConfigError
from vaekit.nets.activations import Activation, activation
from vaekit.nets.maps import (
    Grid,
    Patches,
    Pixels,
    Root,
    Summary,
    Upsample,
    coarser,
    halve,
    need_map,
    normalisation,
    pyramid,
    zeroed,
)
from vaekit.nets.products import Linear
from vaekit.nets.shapes import Shape, is_map


class Resnet(nn.Module):
    """Stages of pre-activation residual blocks; the grid halves (doubles, in a decoder) between stages.

    The first stage works on the grid of the data, or of its patches; each further stage on half of it. Every block starts as
    the identity. Features are maps: of an encoder `(channels[-1], h, w)` on the coarsest grid, of a decoder
    `(channels[0], *grid)`, or `(width, *grid)` with patches.

    Args:
        channels: of every stage, from the data's side inwards; a decoder goes through them backwards.
        blocks: residual blocks in a stage: one number, or one for every stage.
        patch: side of the square patches that the first stage sees as one position each (space to depth): 1, 2, 4 or 8.
            Convolutions on a coarser grid with more channels are much faster, above all on a CPU.
        width: channels a pixel that a decoder has when it turns patches into pixels again.
        dense: width of a fully connected layer between the coarsest grid and the latent vector, with an activation; 0: none.
            It sees the image as a whole, which convolutions on few grids do not; the features are then a vector.
        activation: before every convolution in a block.
        norm: `none`, or `group` (of channels, within an example).
        squeeze: scale each block's channels by a function of their means over the grid.
        in_shape: shape of one input: the image of an encoder; of a decoder a latent vector, or a map on its coarsest grid.
        grid: height and width that a decoder must reach; None for an encoder.

    Raises:
        ConfigError: vectors where images are needed; a latent map on another grid (the message names the right one).

    References:
        He, Zhang, Ren, Sun (2016), Identity mappings in deep residual networks.
        Hu, Shen, Sun (2018), Squeeze-and-excitation networks.
        Goyal et al. (2017), Accurate, large minibatch SGD, section 5.1 (the last layer of a block starts at zero).
    """

    def __init__(
        self,
        channels: Annotated[tuple[Annotated[int, Gt(0)], ...], Len(1)] = (32, 64),
        blocks: Annotated[int, Ge(1)] | tuple[Annotated[int, Ge(0)], ...] = 2,
        patch: Literal[1, 2, 4, 8] = 1,
        width: Annotated[int, Gt(0)] = 16,
        dense: Annotated[int, Ge(0)] = 0,
        activation: Activation = "silu",
        norm: Literal["none", "group"] = "group",
        squeeze: bool = False,
        *,
        in_shape: Shape,
        grid: Grid | None = None,
    ) -> None:
        super().__init__()
        need_map("resnet", in_shape, grid)
        style = _Style(list(channels), per_stage(blocks, len(channels)), patch, width, dense, activation, norm, squeeze)
        self.body = nn.Sequential(*(style.down(in_shape) if grid is None else style.up(in_shape, grid)))

    def forward(self, x: Tensor) -> Tensor:
        """(N, *in_shape) → (N, *features)."""
        return self.body(x)  # type: ignore[no-any-return]


def per_stage(blocks: int | tuple[int, ...] | list[int], stages: int) -> tuple[int, ...]:
    """Blocks of every stage. Raises `ConfigError` where they are not as many as the stages."""
    counts = (blocks,) * stages if isinstance(blocks, int) else tuple(blocks)
    if len(counts) != stages:
        raise ConfigError(
            f"blocks: expected one number, or one for each of the {stages} channels; got {list(counts)}.\n"
            "  fix: make blocks and channels equally long"
        )
    return counts


@dataclass(frozen=True)
class _Style:
    """How the stages of a network look."""

    channels: list[int]
    blocks: tuple[int, ...]
    patch: int
    width: int
    dense: int
    act: Activation
    norm: str
    squeeze: bool

    def down(self, in_shape: Shape) -> list[nn.Module]:
        """From the data to the coarsest grid."""
        inputs, first = in_shape[0] * self.patch**2, self.channels[0]
        parts: list[nn.Module] = [Patches(self.patch)] if self.patch > 1 else []
        parts.append(nn.Conv2d(inputs, first, kernel_size=3, padding=1))
        for stage, width in enumerate(self.channels):
            parts += [halve(self.channels[stage - 1], width)] if stage else []
            parts += self.stage(stage)
        parts += self.finish(self.channels[-1])
        if self.dense:
            coarsest = pyramid(coarser((in_shape[1], in_shape[2]), self.patch), len(self.channels) - 1)[-1]
            parts += [Summary((self.channels[-1], *coarsest), self.dense), activation(self.act)]
        return parts

    def up(self, in_shape: Shape, grid: Grid) -> list[nn.Module]:
        """From the coarsest grid to the data."""
        depth, first = len(self.channels), self.channels[0]
        grids = pyramid(coarser(grid, self.patch), depth - 1)
        parts: list[nn.Module] = []
        if self.dense:
            if is_map(in_shape):
                raise ConfigError(
                    f"resnet: expected a latent vector for dense={self.dense}, got the map {in_shape}.\n  fix: dense: 0"
                )
            parts += [Linear(in_shape[0], self.dense), activation(self.act)]
            in_shape = (self.dense,)
        parts.append(Root(in_shape, self.channels[-1], grids[-1]))
        for stage in reversed(range(depth)):
            parts += self.stage(stage)
            if stage:
                parts.append(Upsample(self.channels[stage], self.channels[stage - 1], grids[stage - 1]))
        parts += self.finish(first)
        if self.patch > 1:
            parts += [nn.Conv2d(first, self.width * self.patch**2, kernel_size=1), Pixels(self.patch, grid)]
        return parts

    def stage(self, stage: int) -> list[nn.Module]:
        """The blocks on one grid."""
        return [_Block(self.channels[stage], self) for _ in range(self.blocks[stage])]

    def finish(self, width: int) -> list[nn.Module]:
        """What pre-activation blocks leave open."""
        return [*([normalisation(self.norm, width)] if self.norm != "none" else []), activation(self.act)]


class _Block(nn.Module):
    """x + conv(act(norm(conv(act(norm(x)))))), optionally with its channels rescaled."""

    def __init__(self, width: int, style: _Style) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *style.finish(width),
            nn.Conv2d(width, width, kernel_size=3, padding=1),
            *style.finish(width),
            zeroed(nn.Conv2d(width, width, kernel_size=3, padding=1)),
        )
        self.squeeze = _Squeeze(width) if style.squeeze else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return x + self.squeeze(self.body(x))  # type: ignore[no-any-return]


class _Squeeze(nn.Module):
    """Each channel times a number in (0, 2) that depends on the means of all channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        narrow = max(width // 4, 4)
        self.gate = nn.Sequential(Linear(width, narrow), nn.SiLU(), Linear(narrow, width), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        gate: Tensor = self.gate(x.mean(dim=(2, 3)))
        return x * (2 * gate)[..., None, None]
