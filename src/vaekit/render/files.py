"""Pictures into files, whole or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from PIL import Image
from torch import Tensor

from vaekit.core import DataSpec
from vaekit.errors import ConfigError, RunError
from vaekit.render.pixels import Window, to_image, to_pixels

FORMATS = {
    ".png": "PNG",
    ".webp": "WEBP",
    ".bmp": "BMP",
    ".tif": "TIFF",
    ".tiff": "TIFF",
}  # none of them loses anything


def save(picture: Image.Image, path: str | Path) -> Path:
    """Write one picture; the suffix says the format. Raises `RunError` if the place cannot be written."""
    path = Path(path)
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ConfigError(f"{path}: expected a file that ends in {', '.join(FORMATS)} for a picture")
    with writing(path) as file:
        picture.save(file, kind, **({"lossless": True} if kind == "WEBP" else {}))
    return path


def save_each(
    x: Tensor, folder: str | Path, spec: DataSpec, *, names: Sequence[str] | None = None, window: Window | None = None
) -> list[Path]:
    """Every image of `(n, *shape)` as a PNG of its own, in its own size, one pixel a pixel.

    Args:
        x: in data units.
        folder: is made if it is not there; files of the same names are replaced.
        spec: what the data is.
        names: of the files, without suffix; numbers, if not given.
        window: the values that are black and white.
    """
    window = window if window is not None else Window.of(spec, x)
    digits = max(4, len(str(len(x) - 1)))
    names = names if names is not None else [f"{number:0{digits}d}" for number in range(len(x))]
    return [
        save(to_image(pixels), Path(folder) / f"{name}.png")
        for name, pixels in zip(names, to_pixels(x, spec, window), strict=True)
    ]


@contextmanager
def writing(path: Path) -> Iterator[BinaryIO]:
    """A buffer whose content becomes `path` at the end: nobody sees half a file, and an old one is lost only to a new one."""
    buffer = io.BytesIO()
    yield buffer
    write(path, buffer.getvalue())


def write(path: Path, content: bytes) -> None:
    """Write a file whole or not at all, its folder made first. Raises `RunError` for a full disk or a read-only folder."""
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink()
        raise RunError(
            f"{path}: cannot be written ({error.strerror or error}).\n  fix: free some space, or choose another place"
        ) from None
