"""`.csv` and `.parquet` files through pyarrow: what columns they have, and some of these columns in memory."""

from __future__ import annotations

import csv
import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vaekit.data.context import is_number
from vaekit.data.folder import existing
from vaekit.errors import DataError, MissingExtraError

SUFFIXES = (".csv", ".parquet")
DELIMITERS = (",", ";", "\t")
INDEX = "__index_level_"  # how pandas calls the index that it stores as a column


@dataclass(frozen=True)
class Header:
    """The columns of a file. `written` are all of them, `names` those that have a name and are no index."""

    written: tuple[str, ...]
    delimiter: str = ","
    headless: bool = False  # a .csv file that begins with a row: its columns are x0, x1, ...
    rows: int | None = None  # None: a .csv file, which does not say

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that can be asked for."""
        return tuple(name for name in self.written if name and not name.startswith(INDEX))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was decided."""
        left = len(self.written) - len(self.names)
        found = ("the first line holds numbers: it is taken as a row, the columns as x0, x1, ...",)
        index = (f"{left} column without a name (an index) is left out",)
        return (found if self.headless else ()) + (index if left else ())


def arrow(module: str = "") -> Any:
    """pyarrow, or a part of it. Raises `MissingExtraError` where it is not installed."""
    try:
        return importlib.import_module(f"pyarrow{module}")
    except ImportError:
        raise MissingExtraError("pyarrow", "tables", "reading .csv and .parquet files") from None


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """What pyarrow and the file system refuse, as a `DataError` that names the file."""
    try:
        yield
    except (arrow().ArrowException, OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{path}: expected a readable {path.suffix} file, got: {str(error).splitlines()[0]}.\n"
            "  fix: check its permissions, or save it again (.csv in UTF-8, with as many cells in every line)"
        ) from None


def read_header(path: Path) -> Header:
    """The columns of a file. Raises `DataError` for a file that is empty or broken, and for a name that comes twice."""
    existing(path)
    with readable(path):
        header = _csv_header(path) if path.suffix.lower() == ".csv" else _parquet_header(path)
    check_names(header.names, str(path))
    return header


def check_names(names: Sequence[str], where: str) -> None:
    """Raises `DataError` where a name comes twice, or where there is none."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise DataError(
            f"{where}: expected every column to have a name of its own, got {', '.join(map(repr, twice[:8]))} more than once.\n"
            "  fix: rename the columns"
        )
    if not names:
        raise DataError(f"{where}: expected columns with names, got none.\n  fix: write a first line of names")


def _parquet_header(path: Path) -> Header:
    file = arrow(".parquet").ParquetFile(path)
    return Header(tuple(file.schema_arrow.names), rows=file.metadata.num_rows)


def _csv_header(path: Path) -> Header:
    with open(path, newline="", encoding="utf-8-sig") as file:
        line = next((line for line in file if line.strip()), "")
        if not line:
            raise DataError(f"{path}: expected a table, got an empty file.\n  fix: save it again")
        delimiter = max(DELIMITERS, key=line.count)
        file.seek(0)
        names = next(row for row in csv.reader(file, delimiter=delimiter) if any(cell.strip() for cell in row))
    counted = names == [str(i) for i in range(len(names))]  # how pandas names columns without names
    if all(is_number(name) for name in names) and not counted:
        return Header(tuple(f"x{i}" for i in range(len(names))), delimiter, headless=True)
    return Header(tuple(names), delimiter)


def csv_options(header: Header, names: Sequence[str], types: Any = None, block: int | None = None) -> dict[str, Any]:
    """How pyarrow is to read the columns `names` of a .csv file, in pieces of `block` bytes."""
    part = arrow(".csv")
    read = {"column_names": list(header.written)} if header.headless else {}
    return {
        "read_options": part.ReadOptions(block_size=block, **read),
        "parse_options": part.ParseOptions(delimiter=header.delimiter, newlines_in_values=True),
        "convert_options": part.ConvertOptions(include_columns=list(names), column_types=types),
    }


def read_columns(path: Path, header: Header, names: Sequence[str]) -> tuple[dict[str, Any], int]:
    """Columns by name, and the number of rows."""
    with readable(path):
        if path.suffix.lower() == ".csv":
            table = arrow(".csv").read_csv(path, **csv_options(header, names))
        else:
            table = arrow(".parquet").ParquetFile(path).read(columns=list(names))
    return {name: table.column(name) for name in names}, table.num_rows
