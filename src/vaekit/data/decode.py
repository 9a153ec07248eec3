"""One image file → pixels of a run's shape. PIL decodes and resizes without holding Python's lock, so threads scale."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps

from vaekit.data.dataset import Fit, Preparation

FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "TIFF", "GIF")
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".gif"})
GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "I;16", "I;16B", "I;16L", "I;16N"})
END_MARKS = {"JPEG": b"\xff\xd9", "PNG": b"IEND\xaeB`\x82"}
ORIENTATION = 0x0112  # the EXIF tag
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
WHITE = (255, 255, 255, 255)

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Header:
    """What the first bytes of a file say: its size as it will be seen, whether it is grey, whether it has 16 bits."""

    height: int
    width: int
    grey: bool
    deep: bool


def read_header(path: Path) -> Header:
    """The header of an image file. Where the end of the file is missing the whole file is decoded, which raises."""
    with open(path, "rb") as file, Image.open(file, formats=FORMATS) as image:
        width, height = image.size
        # To look for EXIF behind the pixels of a PNG file PIL would decode it.
        if (image.format != "PNG" or "exif" in image.info) and orientation(image) in (5, 6, 7, 8):
            width, height = height, width
        header = Header(height, width, is_grey(image), is_deep(image))
        if not _ends_properly(image.format or "", file):
            image.load()
    return header


def _ends_properly(form: str, file: BinaryIO) -> bool:
    """Whether the file has the end mark of its format; True for formats without one."""
    if form == "WEBP":
        file.seek(4)
        return int.from_bytes(file.read(4), "little") + 8 <= file.seek(0, os.SEEK_END)
    mark = END_MARKS.get(form, b"")
    file.seek(-len(mark), os.SEEK_END)
    return file.read() == mark


def is_grey(image: Image.Image) -> bool:
    """Whether the mode, or the palette, holds greys alone."""
    if image.mode in ("P", "PA"):
        palette = np.asarray(image.getpalette("RGB") or [], dtype=np.uint8).reshape(-1, 3)
        return bool((palette == palette[:, :1]).all())
    return image.mode in GREY_MODES


def is_deep(image: Image.Image) -> bool:
    """Whether the pixels have 16 bits, or were stored with 16 bits that PIL has already reduced."""
    tiles = image.tile if isinstance(image, ImageFile.ImageFile) else ()
    return image.mode.startswith("I") or any(";16" in str(tile[3]) for tile in tiles)


def read_pixels(path: Path, preparation: Preparation) -> Pixels:
    """Decodes one file, (C, H, W). Raises whatever PIL raises for a broken file."""
    with Image.open(path, formats=FORMATS) as image:
        return to_pixels(image, preparation)


def to_pixels(image: Image.Image, preparation: Preparation) -> Pixels:
    """Any PIL image as levels of the run's shape, (C, H, W)."""
    channels, height, width = preparation.shape
    _draft(image, max(height, width))
    image = upright(image)
    image = to_channels(eight_bit(image), channels)
    x = np.asarray(fitted(image, height, width, preparation.fit))
    x = x.reshape(height, width, channels).transpose(2, 0, 1)
    return reduced(x, preparation.levels or 256)


def reduced(x: Pixels, levels: int) -> Pixels:
    """8-bit values → equal bins 0 … levels − 1."""
    return x if levels == 256 else (x.astype(np.uint16) * levels // 256).astype(np.uint8)


def _draft(image: Image.Image, side: int) -> None:
    """Lets the JPEG decoder shrink large files by 2, 4 or 8, never below twice what is needed."""
    if image.format == "JPEG" and min(image.size) >= 4 * side:
        needed = 2 * side / min(image.size)
        image.draft(None, (int(image.width * needed) + 1, int(image.height * needed) + 1))


def upright(image: Image.Image) -> Image.Image:
    """Turned and mirrored as EXIF says."""
    image.load()
    turn = TURNS.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def orientation(image: Image.Image) -> int:
    """What EXIF says of how the image is to be turned; a damaged EXIF block says nothing, and spoils no pixels."""
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # damaged blocks raise nearly anything
        return 1


def eight_bit(image: Image.Image) -> Image.Image:
    """16-bit grey reduced to 8 bits, 65535 → 255; other images as they are.

    Raises `ValueError` for pixels that have no range of their own: floats, and integers beyond 16 bits.
    """
    if image.mode == "F":
        raise ValueError("floating-point pixels have no range; save them as an array (.npy)")
    if not image.mode.startswith("I"):
        return image
    x = np.asarray(image).astype(np.int64)
    if x.min() < 0 or x.max() > 65535:
        raise ValueError(f"integer pixels from {x.min()} to {x.max()} are beyond 16 bits")
    return Image.fromarray(((x + 128) // 257).astype(np.uint8))


def to_channels(image: Image.Image, channels: int) -> Image.Image:
    """Grey (1) or RGB (3); transparent parts are laid over white."""
    mode = "L" if channels == 1 else "RGB"
    if image.has_transparency_data:
        image = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, WHITE), image)
    elif image.mode in ("P", "PA"):
        image = image.convert("RGB")
    return image if image.mode == mode else image.convert(mode)


def fitted(image: Image.Image, height: int, width: int, fit: Fit) -> Image.Image:
    """Resized by antialiased bicubic interpolation, cropped or padded at the centre."""
    size = (width, height)
    if image.size == size:
        return image
    if fit == "crop":
        return ImageOps.fit(image, size, Image.Resampling.BICUBIC)
    if fit == "pad":
        return ImageOps.pad(image, size, Image.Resampling.BICUBIC, color=0)
    return image.resize(size, Image.Resampling.BICUBIC)
