"""Where in an image something is surprising, as colour over a pale copy of it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from vaekit.core import DataSpec
from vaekit.render.pixels import Window, as_images, to_pixels

PALE = 0.45  # how strongly the image shows where there is no heat
LOW, HIGH = (255.0, 200.0, 40.0), (200.0, 16.0, 46.0)  # yellow, a little surprising; red, the most


def as_colour(x: Tensor, spec: DataSpec, window: Window | None = None) -> Tensor:
    """Images as 8-bit colour, to stand beside an overlay, `(n, *shape)` → `(n, 3, H, W)`."""
    pixels = torch.from_numpy(to_pixels(x, spec, window)).movedim(-1, 1)
    return pixels.expand(-1, 3, -1, -1)


def overlay(x: Tensor, nats: Tensor, spec: DataSpec, window: Window | None = None) -> tuple[Tensor, DataSpec]:
    """Images with their surprising places in yellow to red: 8-bit colour `(n, 3, H, W)`, and what that data is.

    Each image has a scale of its own: its most surprising place is red, whatever it costs; places that cost less than a
    twentieth of that, and those that are likelier than expected, have no colour.

    Args:
        x: images in data units, `(n, *shape)`.
        nats: what each place costs more than its expected value would, `(n, H, W)`.
        spec: what the data is.
        window: the values that are black and white.
    """
    assert as_images(x[:1], spec).shape[-2:] == nats.shape[-2:], "a number for every pixel"
    grey = torch.from_numpy(to_pixels(x, spec, window)).float().mean(-1)  # (n, H, W)
    pale = 255 - PALE * (255 - grey)
    share = nats.float().clamp(min=0)
    share = share / share.amax((1, 2), keepdim=True).clamp(min=1e-12)  # (n, H, W)
    colours = torch.stack([low + (high - low) * share for low, high in zip(LOW, HIGH, strict=True)], dim=1)
    strength = torch.where(share > 0.05, share.sqrt(), 0.0).unsqueeze(1)
    mixed = strength * colours + (1 - strength) * pale.unsqueeze(1)
    return mixed.round().clamp(0, 255).byte(), replace(spec, shape=(3, *nats.shape[1:]), levels=256)
