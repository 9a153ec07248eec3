"""Data units → pixels. Levels 0 … K−1 become black … white; continuous values are shown between two given numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from vaekit.core import DataSpec

Pixels = npt.NDArray[np.uint8]  # (n, H, W, 1 or 3)


@dataclass(frozen=True)
class Window:
    """The values, in data units, that are drawn black and white; what lies outside is clipped.

    >>> Window.of(DataSpec((1, 8, 8), levels=17))
    Window(low=0.0, high=16.0)
    """

    low: float
    high: float

    @classmethod
    def of(cls, spec: DataSpec, *samples: Tensor) -> Window:
        """All levels of data that has levels; for continuous data the range of `samples`, but for stray values."""
        if spec.levels is not None:
            return cls(0.0, float(spec.levels - 1))
        values = np.concatenate([sample.detach().double().cpu().numpy().ravel() for sample in samples])
        values = values[np.isfinite(values)]
        if not values.size:
            return cls(0.0, 1.0)
        low, high = (float(value) for value in np.quantile(values, [0.001, 0.999]))
        return cls(low, high) if high > low else cls(low - 0.5, low + 0.5)


def drawable(spec: DataSpec) -> bool:
    """Whether an example has two axes, so that it can be drawn with pixels: `(H, W)` or `(C, H, W)`."""
    return len(spec.shape) in (2, 3)


def as_images(x: Tensor, spec: DataSpec) -> Tensor:
    """`(n, *shape)` with two axes → `(n, 1 or 3, H, W)`. Other channel counts stand side by side, in grey."""
    assert drawable(spec), f"data of shape {spec.shape} has no picture"
    x = x.reshape(len(x), *(spec.shape if len(spec.shape) == 3 else (1, *spec.shape)))
    if x.shape[1] in (1, 3):
        return x
    return torch.cat(x.unbind(1), dim=-1).unsqueeze(1)  # (n, 1, H, C·W)


def to_pixels(x: Tensor, spec: DataSpec, window: Window | None = None) -> Pixels:
    """Images in data units `(n, *shape)` → bytes `(n, H, W, 1 or 3)`. What is not finite is drawn black."""
    images = as_images(x.detach().float().cpu(), spec)
    window = window if window is not None else Window.of(spec, images)
    share = (images - window.low) / (window.high - window.low)
    share = share.nan_to_num(0.0, posinf=1.0, neginf=0.0).clamp(0.0, 1.0)
    return share.mul(255).round().byte().permute(0, 2, 3, 1).contiguous().numpy()


def to_image(pixels: Pixels) -> Image.Image:
    """One image `(H, W, 1 or 3)` as Pillow's: grey or RGB."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)


def enlarge(pixels: Pixels, factor: int) -> Pixels:
    """Every pixel as a block of `factor` × `factor`: `(n, H, W, C)` → `(n, factor·H, factor·W, C)`. Edges stay sharp."""
    return pixels.repeat(factor, axis=1).repeat(factor, axis=2)


def factor_for(pixels: Pixels, side: int = 64) -> int:
    """The whole factor by which small images are enlarged so that their longer side reaches `side` pixels."""
    longer: int = max(pixels.shape[1:3])
    return max(1, -(-side // longer))


def is_grey(pixels: Sequence[Pixels]) -> bool:
    """Whether all of them have one channel."""
    return all(part.shape[-1] == 1 for part in pixels)
