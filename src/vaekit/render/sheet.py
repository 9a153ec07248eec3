"""One call for any kind of data: a picture of examples, whether they are images or vectors."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image
from torch import Tensor

from vaekit.core import DataSpec
from vaekit.render.grid import Strip, beside, grid, strips
from vaekit.render.pixels import drawable
from vaekit.render.style import to_picture
from vaekit.render.vectors import heats, overlays

AT_MOST = 12  # vectors drawn as lines


def picture(x: Tensor, spec: DataSpec, columns: int | None = None, label: str = "") -> Image.Image:
    """Examples `(n, *shape)` in data units: a grid of images, or a heat map of vectors (which needs matplotlib)."""
    if drawable(spec):
        return grid(x, spec, columns)
    return to_picture(heats([Strip(label, x)], spec))


def rows(parts: Sequence[Strip], spec: DataSpec, *, together: int = 1) -> Image.Image:
    """Labelled rows of examples: strips of images, or a heat map for each row."""
    if drawable(spec):
        return strips(parts, spec, together=together)
    return to_picture(heats(parts, spec))


def pairs(inputs: Tensor, outputs: Tensor, spec: DataSpec, columns: int = 10) -> Image.Image:
    """Inputs and what the model makes of them: one above the other, or as lines one over the other."""
    if drawable(spec):
        return beside(inputs, outputs, spec, columns)
    return to_picture(overlays(inputs[:AT_MOST], outputs[:AT_MOST], spec))
