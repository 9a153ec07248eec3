"""The data of the benchmark: MNIST's IDX files where they are, else grey pixels of the same size. NumPy alone."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

HELD_OUT = 10_000
NAMES = {"train": "train-images-idx3-ubyte", "test": "t10k-images-idx3-ubyte"}


def find(folder: str) -> str:
    """The folder with MNIST's images at or below `folder` as `mnist`, or the empty string."""
    candidates = [Path(folder), Path(folder) / "mnist"] if folder else []
    complete = [path for path in candidates if all(file(path, part) for part in NAMES)]
    return str(complete[0].resolve()) if complete else ""


def file(folder: Path, part: str) -> Path | None:
    """The IDX file of a part, plain or gzipped."""
    paths = (folder / NAMES[part], folder / f"{NAMES[part]}.gz")
    return next((path for path in paths if path.is_file()), None)


def load(folder: str, images: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Training images (`images`, 784) and held-out images (10000, 784), grey levels 0 … 255."""
    if not folder:
        return made_up(images, 1), made_up(HELD_OUT, 2)
    return idx(folder, "train")[:images], idx(folder, "test")


def idx(folder: str, part: str) -> NDArray[np.uint8]:
    """One IDX file, flattened."""
    path = file(Path(folder), part)
    assert path is not None, f"{folder} has no {NAMES[part]}"
    data = path.read_bytes()
    plain = gzip.decompress(data) if path.suffix == ".gz" else data
    return np.frombuffer(plain, np.uint8, offset=16).reshape(-1, 784)


def made_up(images: int, seed: int) -> NDArray[np.uint8]:
    """Soft blobs on black: as sparse as digits, and a VAE has something to learn."""
    random = np.random.default_rng(seed)
    grid = np.arange(28, dtype=np.float32)
    rows = np.zeros((images, 28, 28), np.float32)
    for _ in range(3):
        across, down = random.uniform(6, 22, (2, images, 1, 1)).astype(np.float32)
        width = random.uniform(1.5, 4, (images, 1, 1)).astype(np.float32)
        rows += np.exp(-((grid - across) ** 2 + (grid[:, None] - down) ** 2) / (2 * width**2))
    return (rows.clip(0, 1) * 255).astype(np.uint8).reshape(images, 784)
