"""A folder of images: which files there are, what their headers say, and which shape suits them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from vaekit.data.decode import FORMATS, SUFFIXES, read_header, to_channels
from vaekit.data.ids import Names
from vaekit.data.splits import Index
from vaekit.data.streamed import available_cores, check_broken
from vaekit.data.values import SMALLEST
from vaekit.errors import DataError, near

SPLITS = {"train": 0, "validation": 1, "valid": 1, "val": 1, "test": 2}
DEFAULT_SIDE = 64
SAMPLED = 64  # files whose content is looked at


@dataclass(frozen=True)
class Headers:
    """What the headers of n files say; `broken` are those without a readable one (number → reason)."""

    size: NDArray[np.int32]  # (n, 2): height, width
    grey: NDArray[np.bool_]  # (n,)
    deep: NDArray[np.bool_]  # (n,)
    broken: dict[int, str]


def existing(path: Path) -> Path:
    """The path, if there is such a file or folder. Raises `DataError` with near names where there is none."""
    try:
        if path.exists():
            return path
        parent = path.parent
        beside = [str(parent / name) for name in os.listdir(parent)] if parent.is_dir() else []
    except OSError as error:
        raise DataError(
            f"expected to read {path}, got: {error.strerror or error}.\n  fix: check its permissions"
        ) from None
    raise DataError(f"expected data at {path}, but there is nothing{near(str(path), beside)}")


def list_images(root: Path) -> tuple[Names, int]:
    """Image files below `root` (relative, sorted), and how many other files were passed over.

    Hidden files and folders do not count. Raises `DataError` where there is no folder, no image, or no permission.
    """
    if not existing(root).is_dir():
        raise DataError(f"expected a folder of images, got the file {root}.\n  fix: give the folder it lies in")
    found: list[str] = []
    others: list[str] = []
    try:
        for name in _walk(root):
            (found if os.path.splitext(name)[1].lower() in SUFFIXES else others).append(name)
    except OSError as error:
        raise DataError(f"expected to read {root}, got: {error}.\n  fix: check its permissions") from None
    if not found:
        endings = ", ".join(sorted({os.path.splitext(name)[1] or name for name in others})[:8])
        raise DataError(
            f"{root}: expected image files ({', '.join(sorted(SUFFIXES))}), got "
            + (f"{len(others)} other files ({endings})" if others else "an empty folder")
            + ".\n  fix: point to the folder that holds the images, or below which they lie"
        )
    return Names(sorted(found)), len(others)


def _walk(root: Path) -> Iterator[str]:
    """Relative names of all files, with forward slashes; a folder that links lead to again is entered once."""
    waiting, entered = [""], {os.path.realpath(root)}
    while waiting:
        folder = waiting.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                name = f"{folder}{entry.name}"
                if entry.name.startswith((".", "__MACOSX")):
                    continue
                if not entry.is_dir():
                    yield name
                elif (real := os.path.realpath(entry.path)) not in entered:
                    entered.add(real)
                    waiting.append(f"{name}/")


def scan(root: Path, names: Names) -> Headers:
    """Reads the headers of all files, with threads."""
    Image.init()  # registers the formats before threads race to do it
    n = len(names)
    headers = Headers(np.zeros((n, 2), np.int32), np.zeros(n, np.bool_), np.zeros(n, np.bool_), {})

    def read(start: int) -> None:
        for i in range(start, min(start + 256, n)):
            try:
                header = read_header(root / names[i])
            except MemoryError:
                raise
            except Exception as error:  # broken files raise nearly anything
                headers.broken[i] = f"{type(error).__name__}: {error}"
                continue
            headers.size[i] = header.height, header.width
            headers.grey[i], headers.deep[i] = header.grey, header.deep

    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(read, range(0, n, 256)))
    return headers


def readable(root: Path, names: Names) -> tuple[Names, Headers, tuple[str, ...]]:
    """The files that have a header, those headers, and remarks on broken and 16-bit files.

    Raises `DataError` where more than a fifth is broken.
    """
    headers = scan(root, names)
    remarks = check_broken({names[i]: headers.broken[i] for i in sorted(headers.broken)}, len(names), root)
    good = np.array([i for i in range(len(names)) if i not in headers.broken], np.int64)
    deep = int(headers.deep.sum())
    if deep:
        remarks += (f"{root}: files with 16 bits a channel are reduced to 8 (65535 becomes 255): {deep}",)
    kept = Headers(headers.size[good], headers.grey[good], headers.deep[good], {})
    return Names(names[int(i)] for i in good), kept, remarks


def folders_of(names: Names) -> tuple[Index, tuple[str, ...], Index | None]:
    """What the sub-folders say: the split of each file (0 train, 1 validation, 2 test), class names, class numbers.

    A folder `train` beside `validation` or `test` at the top makes them the splits, and nothing else may stand there.
    Below that, the first sub-folder is the class, where every file lies in one and there are at least two.
    """
    parts = [name.split("/") for name in names]
    tops = {part[0].lower() for part in parts if len(part) > 1}
    codes = np.zeros(len(parts), np.int64)
    if len(tops) > 1 and "train" in tops and tops <= set(SPLITS) and all(len(part) > 1 for part in parts):
        codes = np.array([SPLITS[part[0].lower()] for part in parts], np.int64)
        parts = [part[1:] for part in parts]
    classes = sorted({part[0] for part in parts if len(part) > 1})
    if len(classes) < 2 or any(len(part) < 2 for part in parts):
        return codes, (), None
    number = {name: i for i, name in enumerate(classes)}
    return codes, tuple(classes), np.array([number[part[0]] for part in parts], np.int64)


def choose_size(headers: Headers, root: Path) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Height and width where none was asked for, and a remark where files are resized.

    Files of one size keep it, scaled to a shorter side of 64 at the most. Mixed sizes become squares of the median
    shorter side, 64 at the most. Raises `DataError` for files smaller than 8×8.
    """
    size = headers.size
    height, width = (int(side) for side in np.median(size, axis=0))
    if (size != size[0]).any():
        height = width = int(np.median(size.min(1)))
    if min(height, width) < SMALLEST:
        raise DataError(
            f"{root}: expected images of at least {SMALLEST}×{SMALLEST} pixels, got a usual size of {height}×{width}.\n"
            "  fix: set `size` to enlarge them, e.g. size: 8"
        )
    scale = min(1.0, DEFAULT_SIDE / min(height, width))
    chosen = round(height * scale), round(width * scale)
    smallest, largest = ("×".join(map(str, sides)) for sides in (size.min(0), size.max(0)))
    seen = smallest if smallest == largest else f"{smallest} to {largest}"
    remark = (
        f"{root}: files of {seen} pixels (height × width) are read at {chosen[0]}×{chosen[1]}; set `size` to change"
    )
    return chosen, () if (size == chosen).all() else (remark,)


def choose_channels(root: Path, names: Names, headers: Headers) -> tuple[int, tuple[str, ...]]:
    """1 where all files are grey: by their headers, or for colour files by the pixels of a sample. Else 3."""
    coloured = np.flatnonzero(~headers.grey)
    if not len(coloured):
        return 1, ()
    sample = coloured[np.unique(np.linspace(0, len(coloured) - 1, SAMPLED).round().astype(int))]
    with ThreadPoolExecutor(available_cores()) as pool:
        if not all(pool.map(lambda i: _looks_grey(root / names[int(i)]), sample)):
            return 3, ()
    return 1, (
        f"{root}: read as grey, since {len(sample)} sampled colour files hold greys alone (for colour: size: [3, H, W])",
    )


def _looks_grey(path: Path) -> bool:
    try:
        with Image.open(path, formats=FORMATS) as image:
            x = np.asarray(to_channels(image, 3))
    except Exception:  # named and counted when the rows are read
        return True
    return bool((x == x[..., :1]).all())


def content_sample(root: Path, names: Names) -> Iterator[bytes]:
    """Every name and size, and the bytes of some evenly spaced files: what the fingerprint of a folder covers."""
    sampled = set(np.linspace(0, len(names) - 1, SAMPLED).round().astype(int).tolist())
    for i, name in enumerate(names):
        path = root / name
        try:
            yield f"{name}:{path.stat().st_size}".encode(errors="surrogateescape")
            if i in sampled:
                yield hashlib.sha256(path.read_bytes()).digest()
        except OSError:  # unreadable: named and counted as broken
            yield b"unreadable"
