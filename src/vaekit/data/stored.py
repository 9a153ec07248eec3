"""`.npy` and `.npz` files: opened without ever unpickling, and found by their keys and names."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from vaekit.data.assemble import Stored
from vaekit.data.context import LABEL
from vaekit.data.dataset import Split
from vaekit.data.folder import existing
from vaekit.data.published import is_reserved
from vaekit.data.values import as_array
from vaekit.errors import DataError

VALUES = ("images", "x", "X", "data")
LABELS = ("labels", "label", "y")
SUFFIXES = (".npy", ".npz")
MARKS: tuple[tuple[Split, str], ...] = (("train", "train"), ("validation", "val"), ("test", "test"))


def read_stored(path: Path, context: Sequence[str] = ()) -> Stored:
    """The array in a `.npy` file, or the arrays under the known keys, and those of `context`, of a `.npz` file.

    Raises `DataError` for a file that is neither, is broken, holds objects, or has none of the keys.
    """
    try:
        loaded = np.load(existing(path), allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return Stored(as_array(loaded, str(path)), None, str(path))
        with loaded:
            values, labels = _key(VALUES, loaded.files), _key(LABELS, loaded.files)
            if values is None and len(loaded.files) == 1:
                values = loaded.files[0]
            if values is None:
                raise DataError(
                    f"{path}: expected one of the keys {', '.join(VALUES)}, got {', '.join(loaded.files) or 'none'}.\n"
                    "  fix: save with np.savez(path, images=..., labels=...)"
                )
            columns = {name: loaded[name] for name in context if name in loaded.files and name != LABEL}
            given = loaded[labels] if labels else None
            offered = tuple(name for name in loaded.files if name not in (values, labels))
            return Stored(as_array(loaded[values], f"{path}[{values}]"), given, str(path), columns, offered)
    except DataError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(_unreadable(path, error)) from None


def _key(known: tuple[str, ...], present: list[str]) -> str | None:
    return next((key for key in known if key in present), None)


def _unreadable(path: Path, error: Exception) -> str:
    if "allow_pickle" in str(error) or "pickle" in str(error).lower():
        return (
            f"{path}: expected arrays of numbers in a .npy or .npz file, got Python objects, which are never unpickled, "
            "or another kind of file.\n  fix: save one array of numbers, e.g. np.savez(path, images=np.stack(images))"
        )
    return (
        f"{path}: expected a readable .npy or .npz file, got: {error}.\n  fix: check its permissions, or save it again"
    )


def given_sets(path: Path) -> dict[Split, Path]:
    """The files of a path: a file alone is `train`, to be split; a folder has one file for train and one for test.

    Raises `DataError` where the path does not exist, or a folder does not hold exactly one file of each.
    """
    if not existing(path).is_dir():
        return {"train": path}
    try:
        files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    except OSError as error:
        raise DataError(f"expected to read {path}, got: {error}.\n  fix: check its permissions") from None
    found: dict[Split, list[Path]] = {split: [f for f in files if mark in f.stem.lower()] for split, mark in MARKS}
    if len(found["train"]) != 1 or len(found["test"]) != 1 or len(found["validation"]) > 1:
        raise DataError(
            f"{path}: expected one .npz or .npy file with 'train' and one with 'test' in its name, got "
            f"{', '.join(file.name for file in files) or 'none'}.\n  fix: give the file itself"
        )
    return {split: files[0] for split, files in found.items() if files}


def name_of(path: Path) -> str:
    """What a set is called: its file without the ending, or with it where that is the name of a published set."""
    return path.name if is_reserved(path.stem) else path.stem


def holds_sets(path: Path) -> bool:
    """Whether a folder has array files for train and test."""
    names = [file.stem.lower() for file in path.iterdir() if file.suffix in SUFFIXES]
    return all(any(mark in name for name in names) for mark in ("train", "test"))
