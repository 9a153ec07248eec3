"""Attributes of image files, from a table beside them: a line for each file."""

from __future__ import annotations

import csv
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vaekit.data.context import LABEL
from vaekit.errors import DataError, near

ATTRIBUTES = "attributes.csv"  # the table that a folder may bring along
KEYS = ("file", "id", "ids", "filename")  # how the column of file names may be called


def read_attributes(path: Path, names: Sequence[str]) -> dict[str, NDArray[Any]]:
    """The columns of a `.csv` or `.npz` table, in the order of the files `names`; unknown where a file has no line.

    A column of a CSV whose values are all numbers is numbers, unless all are whole: those are classes, as text is. An
    empty cell is unknown. Raises `DataError` for a table that cannot be read, has no column of files, or knows none of them.
    """
    try:
        table = _read_csv(path) if path.suffix.lower() == ".csv" else _read_npz(path)
    except (OSError, UnicodeDecodeError, ValueError, zipfile.BadZipFile, zlib.error, csv.Error) as error:
        raise DataError(f"data.attributes: {path}: cannot be read as a .csv or .npz table ({error})") from None
    key = next((key for key in KEYS if key in table), None)
    if key is None:
        raise DataError(
            f"data.attributes: {path}: expected a column 'file' with the files' names, got {', '.join(table) or 'none'}"
        )
    line = {str(name): number for number, name in enumerate(table[key])}
    where = np.array([line.get(name, line.get(Path(name).name, -1)) for name in names])
    if (where < 0).all():
        raise DataError(
            f"data.attributes: {path}: none of its files is in the folder; it has {table[key][0]}, the folder {names[0]}"
        )
    return {name: _placed(values, where) for name, values in table.items() if name != key}


def _read_npz(path: Path) -> dict[str, NDArray[Any]]:
    with np.load(path, allow_pickle=False) as loaded:
        return {name: loaded[name] for name in loaded.files}


def _read_csv(path: Path) -> dict[str, NDArray[Any]]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    rows = [row for row in rows if row]
    if any(len(row) != len(header) for row in rows):
        number = next(i for i, row in enumerate(rows) if len(row) != len(header))
        raise ValueError(f"line {number + 2} has {len(rows[number])} cells, the header {len(header)}")
    columns = {name: [row[i].strip() for row in rows] for i, name in enumerate(header)}
    return {name: np.array(cells) if name in KEYS else _typed(cells) for name, cells in columns.items()}


def _typed(cells: Sequence[str]) -> NDArray[Any]:
    """Text as it is, whole numbers as text (they are classes), numbers with a point as floats.

    An empty cell, and `nan`, is unknown (NaN, or empty text); so is −1 among whole numbers.
    """
    cells = ["" if cell.lower() == "nan" else cell for cell in cells]
    try:
        numbers = np.array([float(cell) if cell else np.nan for cell in cells])
    except ValueError:
        return np.array(cells)
    if any(mark in cell.lower() for cell in cells for mark in (".", "e", "inf")):
        return numbers
    return np.array(["" if cell == "-1" else cell for cell in cells])


def _placed(values: NDArray[Any], where: NDArray[np.int64]) -> NDArray[Any]:
    """The values of each file; unknown (NaN, −1 or empty) where it has none."""
    unknown = {"f": np.nan, "i": -1, "u": -1, "b": -1}.get(values.dtype.kind, "")
    placed = values.astype(np.int64)[where] if values.dtype.kind in "iub" else values[where]
    placed[where < 0] = unknown
    return placed


def check_path(path: str | None) -> Path | None:
    """The table's path. Raises `DataError` where there is no such file, or of another kind."""
    if path is None:
        return None
    place = Path(path).expanduser()
    if place.suffix.lower() not in (".csv", ".npz") or not place.is_file():
        what = "there is no such file" if not place.exists() else "another kind of file"
        raise DataError(f"data.attributes: expected a .csv or .npz table, got {place} ({what})")
    return place


def columns_of_folder(
    attributes: Path | None, names: Sequence[str], context: Sequence[str]
) -> Mapping[str, NDArray[Any]]:
    """The columns that are asked for, out of those that the table has."""
    found = {} if attributes is None else read_attributes(attributes, names)
    missing = [name for name in context if found and name not in found and name != LABEL]
    if missing:
        raise DataError(
            f"data.context: unknown entry '{missing[0]}'{near(missing[0], found)}; {attributes} has {', '.join(found)}"
        )
    return {name: values for name, values in found.items() if name in context}
