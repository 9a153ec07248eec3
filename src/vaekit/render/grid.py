"""Images as grids and labelled strips. Pillow and numpy alone: no plotting library is needed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from vaekit.core import DataSpec
from vaekit.errors import DataError
from vaekit.render.pixels import Pixels, Window, enlarge, factor_for, to_image, to_pixels

LINE = 128  # separators are a neutral grey: they can be told from black, from white, and from either page
PAPER, INK = 255, 26
MARGIN = 12


@dataclass(frozen=True)
class Strip:
    """A row of examples with a label: `x` is `(n, *shape)` in data units."""

    label: str
    x: Tensor


def grid(
    x: Tensor, spec: DataSpec, columns: int | None = None, *, window: Window | None = None, factor: int | None = None
) -> Image.Image:
    """Images in rows, with a thin frame around each.

    Args:
        x: `(n, *shape)` in data units.
        spec: what the data is.
        columns: images in a row; as many as make the grid about square, if not given.
        window: the values that are black and white.
        factor: by which each pixel is enlarged (a whole number, so that edges stay sharp); as needed, if not given.

    >>> import torch
    >>> grid(torch.zeros(6, 1, 8, 5), DataSpec((1, 8, 5), levels=2), columns=3, factor=2).size
    (34, 35)
    """
    if not len(x):
        raise DataError("expected at least one example to draw, got none")
    pixels = to_pixels(x, spec, window)
    factor = factor if factor is not None else factor_for(pixels)
    cells = enlarge(pixels, factor)
    return to_image(framed(cells, columns or square(pixels), line_width(cells)))


def square(pixels: Pixels) -> int:
    """How many columns make a grid of these images about square."""
    count, height, width = (int(size) for size in pixels.shape[:3])
    return min(count, max(1, math.ceil(math.sqrt(count * height / width))))


def line_width(cells: Pixels) -> int:
    """Separators: thin beside an image, but seen also where the grid is shown smaller."""
    longer: int = max(cells.shape[1:3])
    return max(1, longer // 20)


def framed(pixels: Pixels, columns: int, line: int) -> Pixels:
    """Images `(n, H, W, C)` → one grid `(rows·(H + line) + line, columns·(W + line) + line, C)`; gaps are left grey."""
    count, height, width, channels = pixels.shape
    rows = -(-count // columns)
    canvas = np.full((rows * (height + line) + line, columns * (width + line) + line, channels), LINE, np.uint8)
    for number, image in enumerate(pixels):
        top, left = line + number // columns * (height + line), line + number % columns * (width + line)
        canvas[top : top + height, left : left + width] = image
    return canvas


def strips(
    rows: Sequence[Strip], spec: DataSpec, *, together: int = 1, window: Window | None = None, factor: int | None = None
) -> Image.Image:
    """Labelled rows of images, one under the other; `together` of them stand close (an input above what was made of it).

    All rows share one window, so that greys compare.
    """
    if not rows or not all(len(row.x) for row in rows):
        raise DataError("expected at least one example in every row, got none")
    window = window if window is not None else Window.of(spec, *(row.x for row in rows))
    pixels = [to_pixels(row.x, spec, window) for row in rows]
    factor = factor if factor is not None else factor_for(pixels[0])
    cells = [enlarge(part, factor) for part in pixels]
    line = line_width(cells[0])
    bands = [framed(part, len(part), line) for part in cells]
    left = MARGIN + max(text_width(row.label) for row in rows) + MARGIN
    tops = offsets([band.shape[0] for band in bands], together, line)
    size = (left + max(band.shape[1] for band in bands) + MARGIN, tops[-1] + bands[-1].shape[0] + MARGIN)
    sheet = Image.new("RGB" if spec.is_image and spec.shape[0] == 3 else "L", size, (PAPER,) * bands[0].shape[2])
    pen = ImageDraw.Draw(sheet)
    for row, band, top in zip(rows, bands, tops, strict=True):
        sheet.paste(to_image(band), (left, top))
        pen.text(
            (left - MARGIN, top + band.shape[0] // 2), row.label, (INK,) * band.shape[2], font=letters(), anchor="rm"
        )
    return sheet


def offsets(heights: Sequence[int], together: int, line: int) -> list[int]:
    """Where each row begins: rows of one block touch (they share a frame line), blocks are apart."""
    tops, top = [], MARGIN
    for number, height in enumerate(heights):
        tops.append(top)
        top += height + (MARGIN if (number + 1) % together == 0 else -line)
    return tops


def beside(inputs: Tensor, outputs: Tensor, spec: DataSpec, columns: int = 10, **labels: str) -> Image.Image:
    """Every input with its reconstruction below it, `columns` pairs in a row; `(n, *shape)` each, in data units.

    Args:
        inputs: the data.
        outputs: what the model makes of it, in the same order.
        spec: what the data is.
        columns: pairs in a row.
        labels: `above` and `below`, if the words are to be others than "input" and "reconstruction".
    """
    above, below = labels.get("above", "input"), labels.get("below", "reconstruction")
    rows = []
    for first in range(0, len(inputs), columns):
        rows += [Strip(above, inputs[first : first + columns]), Strip(below, outputs[first : first + columns])]
    return strips(rows, spec, together=2)


@cache
def letters(size: int = 14) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The font that comes with Pillow: the same on every machine."""
    return ImageFont.load_default(size)


def text_width(text: str) -> int:
    """Of one line, in pixels."""
    left, _, right, _ = letters().getbbox(text)
    return math.ceil(right - left)
