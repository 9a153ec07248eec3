"""What convolutional networks share: grids of any size halved and doubled exactly, normalisation, upsampling."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaekit.errors import ConfigError
from vaekit.nets.products import Linear
from vaekit.nets.shapes import Shape, grid, is_map, size

Grid = tuple[int, int]


def pyramid(finest: Grid, halvings: int) -> list[Grid]:
    """The grids that strided convolutions run through, the finest first; odd sizes are rounded up.

    >>> pyramid((28, 17), 2)
    [(28, 17), (14, 9), (7, 5)]
    """
    grids = [finest]
    for _ in range(halvings):
        height, width = grids[-1]
        grids.append(((height + 1) // 2, (width + 1) // 2))
    return grids


def need_map(name: str, in_shape: Shape, grid: Grid | None) -> None:
    """An encoder needs images, a decoder the grid of images: raise `ConfigError` for vectors."""
    if grid is None and not is_map(in_shape):
        raise ConfigError(
            f"network '{name}' needs images (channels, height, width), got vectors of shape {in_shape}.\n"
            "  fix: use network 'mlp'"
        )


def normalisation(name: str, channels: int) -> nn.Module:
    """`group`: each example by itself, up to 8 groups of at least 4 channels, so that no row depends on another; or `none`."""
    if name == "none":
        return nn.Identity()
    groups = max(count for count in range(1, 9) if channels % count == 0 and (count == 1 or channels >= 4 * count))
    return nn.GroupNorm(groups, channels)


class Upsample(nn.Module):
    """Nearest-neighbour doubling followed by a 3×3 convolution, cropped to a grid: no checkerboard, any size exactly.

    The two are one linear map. It is computed as a transposed 4×4 convolution with the folded kernel, which multiplies
    16 times where the two steps multiply 36 times.
    """

    def __init__(self, inputs: int, outputs: int, grid: Grid) -> None:
        super().__init__()
        self.grid = grid
        self.convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, ⌈h/2⌉, ⌈w/2⌉) → (N, outputs, h, w)."""
        height, width = self.grid
        doubled = F.conv_transpose2d(x, folded(self.convolution.weight), self.convolution.bias, stride=2, padding=1)
        return doubled[..., :height, :width]


def folded(kernel: Tensor) -> Tensor:
    """The 4×4 kernel of a transposed convolution that doubles (nearest) and then convolves with a 3×3 kernel."""
    turned = kernel.flip(2, 3).transpose(0, 1)
    return 4 * F.avg_pool2d(F.pad(turned, (1, 1, 1, 1)), kernel_size=2, stride=1)


class Root(nn.Module):
    """Where a decoder starts: a vector, or a map on the smallest grid, → `(channels, *grid)`."""

    def __init__(self, in_shape: Shape, channels: int, smallest: Grid) -> None:
        super().__init__()
        if is_map(in_shape) and grid(in_shape) != smallest:
            raise ConfigError(
                f"this decoder starts on a grid of {smallest[0]} × {smallest[1]}, got a latent of shape {in_shape}.\n"
                f"  fix: use the latent shape ({in_shape[0]}, {smallest[0]}, {smallest[1]}), a vector, "
                "or another number of stages"
            )
        self.shape = (channels, *smallest)
        self.from_map = is_map(in_shape)
        self.layer: nn.Module
        if self.from_map:
            self.layer = nn.Conv2d(in_shape[0], channels, kernel_size=3, padding=1)
        else:
            self.layer = Linear(in_shape[0], channels * smallest[0] * smallest[1])

    def forward(self, z: Tensor) -> Tensor:
        """(N, *in_shape) → (N, channels, *grid)."""
        x: Tensor = self.layer(z)
        if self.from_map:
            return x
        channels, height, width = self.shape
        # Channels last, as convolutions leave their maps: a sum of maps in two layouts is ten times slower.
        return x.reshape(-1, height, width, channels).permute(0, 3, 1, 2)


def flat(x: Tensor) -> Tensor:
    """(N, c, h, w) → (N, h·w·c): in the order in which convolutions leave their maps in memory, and want their gradients."""
    return x.permute(0, 2, 3, 1).flatten(1)


class Summary(nn.Module):
    """Where an encoder ends that returns a vector: a fully connected layer over the whole map."""

    def __init__(self, in_shape: Shape, width: int) -> None:
        super().__init__()
        self.layer = Linear(size(in_shape), width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, *in_shape) → (N, width)."""
        return self.layer(flat(x))  # type: ignore[no-any-return]


class Patches(nn.Module):
    """Space to depth: every p×p patch becomes one position of a coarser grid; sizes that p does not divide are padded."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.size = size

    def forward(self, x: Tensor) -> Tensor:
        """(N, c, h, w) → (N, c·p², ⌈h/p⌉, ⌈w/p⌉)."""
        height, width = x.shape[2:]
        padded = F.pad(x, (0, -width % self.size, 0, -height % self.size))
        return F.pixel_unshuffle(padded, self.size)


class Pixels(nn.Module):
    """Depth to space: the inverse of `Patches`, cropped to a grid."""

    def __init__(self, size: int, grid: Grid) -> None:
        super().__init__()
        self.size = size
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        """(N, c·p², ⌈h/p⌉, ⌈w/p⌉) → (N, c, h, w)."""
        height, width = self.grid
        return F.pixel_shuffle(x, self.size)[..., :height, :width]


def coarser(grid: Grid, factor: int) -> Grid:
    """A grid in steps of `factor`, rounded up."""
    return (-(-grid[0] // factor), -(-grid[1] // factor))


def halve(inputs: int, outputs: int) -> nn.Conv2d:
    """A strided 3×3 convolution, (N, inputs, h, w) → (N, outputs, ⌈h/2⌉, ⌈w/2⌉)."""
    return nn.Conv2d(inputs, outputs, kernel_size=3, stride=2, padding=1)


@torch.no_grad()
def zeroed(layer: nn.Conv2d) -> nn.Conv2d:
    """The same layer with weights and bias at zero: a residual block that starts as the identity."""
    layer.weight.zero_()
    assert layer.bias is not None, "the last convolution of a block has a bias"
    layer.bias.zero_()
    return layer
