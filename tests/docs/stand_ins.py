"""What the pages speak of and do not make themselves: a folder of photos, tables, small stand-ins for published sets.

All of it is random numbers. A page that shows output or pictures makes its own data, or speaks of a published set.
"""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
from PIL import Image


def bring(place: Path) -> None:
    """Put all of it into a folder; the published sets into its folder `sets`."""
    random = np.random.default_rng(0)
    for folder in ("photos/cats", "photos/dogs", "good"):
        (place / folder).mkdir(parents=True)
        for number in range(24 if folder == "good" else 12):
            pixels = random.integers(0, 256, size=(20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(place / folder / f"{number}.png")
    for name in ("table", "new", "normal", "gaps"):
        write_csv(place / f"{name}.csv", random, gaps=name == "gaps")
    np.save(place / "table.npy", random.normal(size=(80, 5)).astype(np.float32))
    (place / "cifar").mkdir()
    for part, count in (("train", 60), ("test", 10)):
        images = random.integers(0, 256, size=(count, 32, 32, 3), dtype=np.uint8)
        np.savez(place / "cifar" / f"{part}.npz", images=images, labels=random.integers(0, 10, size=count))
    for name in ("mnist", "fashion-mnist"):
        write_idx(place / "sets" / name, random)


def write_csv(path: Path, random: np.random.Generator, gaps: bool) -> None:
    """A table of numbers with named columns, and perhaps with empty cells."""
    rows = [[f"{value:.3f}" for value in row] for row in random.normal(size=(60, 5))]
    if gaps:
        for number, row in enumerate(rows[::3]):
            row[number % 5] = ""
    lines = ["speed,flow,current,bearing,vibration", *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_idx(folder: Path, random: np.random.Generator) -> None:
    """The four files of an MNIST-like set, with a few images."""
    folder.mkdir(parents=True)
    for part, count in (("train", 90), ("t10k", 20)):
        images = random.integers(0, 256, size=(count, 28, 28), dtype=np.uint8)
        header = struct.pack(">IIII", 2051, count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
        labels = random.integers(0, 10, size=count, dtype=np.uint8)
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(struct.pack(">II", 2049, count) + labels.tobytes())
        )
