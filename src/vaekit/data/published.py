"""Published sets: where their files are looked for, how they are downloaded, and whether they are what they claim."""

from __future__ import annotations

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from vaekit.data.assemble import Pool, assemble
from vaekit.data.dataset import Dataset, Preparation
from vaekit.data.splits import Shares
from vaekit.errors import DataError, MissingExtraError

ENVIRONMENT = "VAEKIT_DATA"
NAMED_SETS = ("mnist", "fashion-mnist", "cifar10", "digits")
TOLERANCE = 5e-4  # of the mean of a set, which is published with four digits


@dataclass(frozen=True)
class Published:
    """A set that others publish figures on.

    `layouts` are folders below a data directory with the file names in each ("" is the directory itself); `downloads`
    are (URL, checksum) pairs, unpacked where they are archives. `rows` (train, test) and `mean` (of the training images
    in [0, 1], per channel) identify the set: what has the same file names is not yet the same data.
    """

    name: str
    title: str
    classes: tuple[str, ...]
    rows: tuple[int, int]
    mean: tuple[float, ...]
    layouts: tuple[tuple[str, tuple[str, ...]], ...]
    downloads: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Arrays:
    """What the files of a set hold: images (n, C, H, W) uint8 and class numbers (n,)."""

    train: NDArray[np.uint8]
    train_labels: NDArray[Any]
    test: NDArray[np.uint8]
    test_labels: NDArray[Any]


Reader: TypeAlias = Callable[[Sequence[Path]], Arrays]


def load_published(
    published: Published, read: Reader, data_dir: str | None, shares: Shares, context: Sequence[str] = ()
) -> Dataset:
    """The set from this machine, or downloaded once; train and test as published, validation out of the training rows.

    Looks in `data_dir`, in the environment variable VAEKIT_DATA, and in the cache of earlier downloads. Files that are
    not the published set (a subset, say) are used under another name, with a remark; where the directory itself holds
    another set's files they are passed over. Raises `DataError` with the places tried where it cannot be had.
    """
    folder, arrays = _find(published, read, data_dir)
    name, remarks = published.name, tuple[str, ...]()
    if not is_published(published, arrays):
        name = f"{published.name}-variant"
        remarks = (
            f"{folder}: these files are not {published.title} as published; figures do not compare with others'",
        )
    preparation = Preparation(arrays.train.shape[1:], levels=256, classes=published.classes)
    pool, test = _pool(arrays.train, arrays.train_labels), _pool(arrays.test, arrays.test_labels)
    return assemble(name, pool, preparation, shares, test=test, context=context, remarks=remarks)


def is_published(published: Published, arrays: Arrays) -> bool:
    """Whether the number of rows and the mean of the training images are those of the published set."""
    if (len(arrays.train), len(arrays.test)) != published.rows or arrays.train.shape[1] != len(published.mean):
        return False
    mean = arrays.train.mean((0, 2, 3)) / 255
    return bool((np.abs(mean - published.mean) < TOLERANCE).all())


def is_reserved(name: str) -> bool:
    """Whether a name is that of a published set, so that a user's own files must not be reported under it."""
    return name.lower().replace("_", "-") in NAMED_SETS


def _pool(images: NDArray[np.uint8], labels: NDArray[Any]) -> Pool:
    return Pool(torch.from_numpy(images.copy()), torch.from_numpy(labels.astype(np.int64)))


def _find(published: Published, read: Reader, data_dir: str | None) -> tuple[Path, Arrays]:
    if data_dir is not None and not Path(data_dir).expanduser().is_dir():
        raise DataError(f"`data_dir`: expected a folder, but there is none at {data_dir}.\n  fix: correct the path")
    roots = [Path(root).expanduser() for root in (data_dir, os.environ.get(ENVIRONMENT)) if root]
    found = _first(published, read, roots)
    if found is None:
        cache = _cache(published, roots)
        found = _first(published, read, [cache])
    if found is None:
        _download(published, cache, roots)
        found = _first(published, read, [cache])
    assert found is not None, f"the download of {published.name} did not have the expected layout"
    return found


def _first(published: Published, read: Reader, roots: Sequence[Path]) -> tuple[Path, Arrays] | None:
    for folder, files in _complete(published, roots):
        arrays = read(files)
        if folder not in roots or is_published(published, arrays):
            return folder, arrays
    return None


def _complete(published: Published, roots: Sequence[Path]) -> Iterator[tuple[Path, list[Path]]]:
    """Folders that hold all files of a layout. Raises `DataError` for one that holds only some of them."""
    for root in roots:
        for below, names in published.layouts:
            files = {name: _plain_or_gz(root / below / name) for name in names}
            missing = [name for name, file in files.items() if file is None]
            if not missing:
                yield root / below, [file for file in files.values() if file is not None]
            elif len(missing) < len(names):
                raise DataError(
                    f"{root / below}: expected all files of {published.title}, but {', '.join(missing)} is missing.\n"
                    "  fix: add what is missing (plain or .gz), or move the others away so that the set is downloaded"
                )


def _plain_or_gz(path: Path) -> Path | None:
    for candidate in (path, path.with_name(f"{path.name}.gz")):
        if candidate.is_file():
            return candidate
    return None


def _cache(published: Published, tried: Sequence[Path]) -> Path:
    try:
        pooch = importlib.import_module("pooch")
    except ImportError:
        purpose = f"{published.title} is {_nowhere(tried)}; downloading it"
        raise MissingExtraError("pooch", "download", purpose) from None
    return Path(pooch.os_cache("vaekit"))


def _nowhere(tried: Sequence[Path]) -> str:
    return f"not in {' or '.join(map(str, tried))}" if tried else "not on this machine"


def _download(published: Published, cache: Path, tried: Sequence[Path]) -> None:
    """Fetches all files into the cache, checked, with a progress bar."""
    pooch = importlib.import_module("pooch")
    bar = importlib.util.find_spec("tqdm") is not None
    folder = cache / published.name
    for url, checksum in published.downloads:
        name = url.rsplit("/", 1)[-1]
        unpack = pooch.Untar(extract_dir=".") if name.endswith(".tar.gz") else None
        try:
            pooch.retrieve(url, checksum, fname=name, path=folder, processor=unpack, progressbar=bar)
        except (OSError, ValueError) as error:
            raise DataError(_offline(published, [*tried, cache], url, error)) from None


def _offline(published: Published, tried: Sequence[Path], url: str, error: Exception) -> str:
    folder, names = published.layouts[0]
    hint = [f"{root / published.name}" for root in tried if any((root / published.name).glob("*.np[yz]"))]
    return (
        f"{published.title}: expected its files on this machine or a way to download them, got neither.\n"
        f"  looked in: {', '.join(str(root / folder) for root in tried)}, and {len(published.layouts) - 1} more layouts\n"
        f"  looked for: {', '.join(names)} (plain or .gz)\n"
        f"  {url}: {str(error).rpartition(': ')[2].strip(chr(34) + ')') or type(error).__name__}\n"
        f"  fix: put these files into DIR/{folder} and give --data-dir DIR or set {ENVIRONMENT}=DIR"
        + "".join(f"\n  {path} holds arrays: they train with --data {path}" for path in hint)
    )
