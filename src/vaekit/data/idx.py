"""The IDX files of MNIST and its relatives, gzipped or plain."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from vaekit.data.published import Arrays
from vaekit.errors import DataError

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)
UNSIGNED_BYTE = 8


def read_idx(path: Path) -> NDArray[np.uint8]:
    """The array of unsigned bytes in an IDX file. Raises `DataError` for a file that is none, or is cut short."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: expected a readable IDX file, got: {error}.\n  fix: fetch it again") from None
    if len(data) < 4 or data[:3] != bytes([0, 0, UNSIGNED_BYTE]) or len(data) < 4 + 4 * data[3]:
        raise DataError(f"{path}: expected an IDX file of unsigned bytes, got a file that starts with {data[:4]!r}")
    start = 4 + 4 * data[3]
    shape = struct.unpack(f">{data[3]}I", data[4:start])
    values = np.frombuffer(data, np.uint8, offset=start)
    if values.size != math.prod(shape):
        raise DataError(
            f"{path}: expected {math.prod(shape)} bytes of values, as its header says, got {values.size}.\n"
            "  fix: fetch it again"
        )
    return values.reshape(shape)


def read_idx_set(files: Sequence[Path]) -> Arrays:
    """Train images and labels, test images and labels: the four files in the order of `FILES`."""
    train, train_labels, test, test_labels = map(read_idx, files)
    for images, labels, path in ((train, train_labels, files[0]), (test, test_labels, files[2])):
        if images.ndim != 3 or labels.shape != images.shape[:1] or not len(images):
            raise DataError(f"{path}: expected images (n, H, W) and n labels, got {images.shape} and {labels.shape}")
    return Arrays(train[:, None], train_labels, test[:, None], test_labels)
