"""Makes pictures and small files of published sets."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def picture(seed: int, height: int = 20, width: int = 24, channels: int = 3) -> Image.Image:
    """Smooth random colours (or greys), which JPEG keeps nearly as they are."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 5, channels), dtype=np.uint8)
    return Image.fromarray(coarse.squeeze()).resize((width, height), Image.Resampling.BICUBIC)


def idx_bytes(x: NDArray[np.uint8]) -> bytes:
    """An array of bytes in IDX form."""
    return bytes([0, 0, 8, x.ndim]) + struct.pack(f">{x.ndim}I", *x.shape) + x.tobytes()


def write_idx_set(place: Path, train: int = 40, test: int = 15, zipped: bool = True, level: int = 200) -> Path:
    """The four files of an MNIST-like set of 9×11 images with values below `level`."""
    place.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(level)
    for part, n in (("train", train), ("t10k", test)):
        images = random.integers(0, level, (n, 9, 11), dtype=np.uint8)
        for name, x in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", np.arange(n) % 10)):
            content = idx_bytes(x.astype(np.uint8))
            (place / (f"{name}.gz" if zipped else name)).write_bytes(
                gzip.compress(content, mtime=0) if zipped else content
            )
    return place
