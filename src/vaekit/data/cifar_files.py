"""The files of CIFAR-10: the binary layout, and the Python layout without executing what a pickle says.

Python's pickles can call anything. Here every name in one resolves to a recorder defined below, or is refused, so that
reading a file runs no code but this.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from vaekit.data.published import Arrays
from vaekit.errors import DataError

BINARY = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
PYTHON = (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch")
PIXELS = 3 * 32 * 32


def read_cifar_set(files: Sequence[Path]) -> Arrays:
    """Five training batches and one test batch, in either layout: images (n, 3, 32, 32) and labels (n,)."""
    batches = [_read_binary(path) if path.suffix == ".bin" else _read_python(path) for path in files]
    images = [batch[0].reshape(-1, 3, 32, 32) for batch in batches]
    labels = [batch[1] for batch in batches]
    return Arrays(np.concatenate(images[:-1]), np.concatenate(labels[:-1]), images[-1], labels[-1])


def _read_binary(path: Path) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    """Records of one label byte and 3072 pixels: red, green, blue plane."""
    values = np.frombuffer(_bytes(path), np.uint8)
    if not values.size or values.size % (1 + PIXELS):
        raise DataError(
            f"{path}: expected records of {1 + PIXELS} bytes, got {values.size} bytes.\n  fix: fetch it again"
        )
    records = values.reshape(-1, 1 + PIXELS)
    return records[:, 1:], records[:, 0]


def _read_python(path: Path) -> tuple[NDArray[np.uint8], NDArray[Any]]:
    try:
        content = _ArrayPickle(io.BytesIO(_bytes(path)), encoding="bytes").load()
        _, shape, _, by_columns, raw = content[b"data"].state
        pixels = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if by_columns else "C").reshape(-1, PIXELS)
        labels = np.array([int(label) for label in content[b"labels"]])
    except DataError:
        raise
    except Exception as error:  # a malformed pickle raises nearly anything
        raise DataError(f"{path}: expected a batch of CIFAR-10, got: {error}.\n  fix: fetch it again") from None
    if labels.shape != pixels.shape[:1]:
        raise DataError(f"{path}: expected a label for each image, got {len(pixels)} images and {len(labels)} labels")
    return pixels, labels


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected a readable file, got: {error}.\n  fix: check its permissions") from None


class _Recorded:
    """Stands for an array or a dtype in a pickle: takes any arguments, and keeps its state as it is."""

    def __init__(self, *arguments: object) -> None:
        self.state: Any = ()

    def __setstate__(self, state: Any) -> None:
        self.state = state


def _encode(text: str, _: str) -> bytes:
    """Bytes as older protocols write them: text of the first 256 code points."""
    return text.encode("latin1")


class _ArrayPickle(pickle.Unpickler):
    """Knows the names in a pickled array of bytes, none of them as what it is, and refuses all others."""

    known: ClassVar[dict[tuple[str, str], Any]] = {
        ("numpy.core.multiarray", "_reconstruct"): _Recorded,
        ("numpy._core.multiarray", "_reconstruct"): _Recorded,
        ("numpy", "ndarray"): _Recorded,
        ("numpy", "dtype"): _Recorded,
        ("_codecs", "encode"): _encode,
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self.known:
            raise DataError(f"expected a pickle of arrays, got one that asks for {module}.{name}: refused")
        return self.known[module, name]
