"""How long a general compressor's code for an image is: what an image costs for being intricate, whatever it shows."""

from __future__ import annotations

import io

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from vaekit.core import Batch
from vaekit.errors import DataError


def code_lengths(raw: Batch) -> Tensor:
    """Bits of a PNG file of each image, without the bytes that every file has, (B, C, H, W) levels → (B,).

    Raises `DataError` for data that is not images of 8 bits.

    References: Serrà et al. (2020), Input complexity and out-of-distribution detection with likelihood-based generative models.
    """
    x = raw.x
    if not isinstance(x, Tensor) or x.dtype != torch.uint8 or x.ndim != 4 or x.shape[1] not in (1, 3):
        raise DataError(
            "the score 'complexity' needs images of 8 bits: it compares with PNG files.\n  fix: another score"
        )
    images = x.cpu().movedim(1, -1).numpy()
    empty = bits(np.zeros_like(images[0]))
    return torch.tensor([bits(image) - empty for image in images], dtype=torch.float64)


def bits(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> float:
    """The length of one image's PNG file."""
    stream = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(stream, "PNG", optimize=True)
    return 8.0 * stream.tell()
