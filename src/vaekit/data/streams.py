"""Tables larger than memory, piece by piece: for scoring, in the order of the run's columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from vaekit.core import DataSpec
from vaekit.data.arrow_files import SUFFIXES, Header, arrow, csv_options, read_header, readable
from vaekit.data.cells import classes_of, matrix, text_of
from vaekit.data.dataset import Preparation
from vaekit.data.folder import existing
from vaekit.data.frame import Roles
from vaekit.data.tabular import Order, check_known
from vaekit.errors import DataError

BLOCK = 2**23  # bytes of a .csv file that are read at once
BUFFER = 2**20  # bytes of a column of a .parquet file that are read at once


@dataclass(frozen=True, eq=False)
class Piece:
    """Rows of a table that follow each other: `first` is the number of the first one."""

    x: Tensor  # (B, D), float32, NaN where a cell is empty
    labels: Tensor | None  # (B,), int64, −1 where unknown
    ids: Sequence[str] | None
    first: int


class TableStream:
    """The rows of a `.parquet` or `.csv` file for a run on a table, in pieces, with bounded memory.

    Columns are found by name, in any order, as `data.read` does it; what conditions a model is not read. It can be
    iterated more than once; `fraction` follows the last iteration.

    Arguments:
        path: the file.
        preparation, spec: of the run.
        batch_rows: at most so many rows in a piece.
        start: the row to begin with; whole row groups of a `.parquet` file before it are not read.

    Raises `DataError` for another kind of file, columns that are missing, and, while it is read, for text, infinite and
    missing values, with the row; `MissingExtraError` where pyarrow is not installed.
    """

    def __init__(
        self, path: str | Path, preparation: Preparation, spec: DataSpec, batch_rows: int = 65536, start: int = 0
    ) -> None:
        assert batch_rows > 0 and start >= 0
        self.path = existing(Path(path).expanduser())
        self.preparation, self.batch_rows, self.start = preparation, batch_rows, start
        _check_kind(self.path, preparation)
        self.header = read_header(self.path)
        self.roles = Order(preparation, spec, depth=3)(self.header.names, str(self.path))
        self._done = 0.0

    @property
    def total(self) -> int | None:
        """The number of rows in the file; None for a .csv file, which does not say."""
        return self.header.rows

    @property
    def fraction(self) -> float:
        """How much of the file has been read: of the rows of a .parquet file, of the bytes of a .csv file."""
        return self._done

    def __iter__(self) -> Iterator[Piece]:
        self._done = 0.0
        batches = self._csv() if self.path.suffix.lower() == ".csv" else self._parquet()
        empty = True
        for columns, rows, first in batches:
            empty = False
            for offset in range(max(0, self.start - first), rows, self.batch_rows):
                part = {name: column[offset : offset + self.batch_rows] for name, column in columns.items()}
                yield self._piece(part, min(self.batch_rows, rows - offset), first + offset)
        self._done = 1.0
        if empty and not self.start:
            raise DataError(f"{self.path}: expected rows, got a header alone: {', '.join(self.header.names[:20])}")

    def _piece(self, columns: Mapping[str, Any], rows: int, first: int) -> Piece:
        where, roles = str(self.path), self.roles
        x = matrix({name: columns[name] for name in roles.columns}, rows, where, first=first, new=True)
        check_known(x, self.preparation, where, first)
        labels = None
        if roles.label is not None and self.preparation.classes:
            known = self.preparation.classes
            labels, _ = classes_of(columns[roles.label], known, f"{where}: data.label: {roles.label}")
        return Piece(x, labels, None if roles.id is None else text_of(columns[roles.id]), first)

    def _parquet(self) -> Iterator[tuple[dict[str, Any], int, int]]:
        """Columns, rows, and the number of the first row, of every batch from the row group on that holds `start`."""
        with readable(self.path):
            # Buffering ahead would hold every row group that has been read.
            file = arrow(".parquet").ParquetFile(self.path, pre_buffer=False, buffer_size=BUFFER)
            group, first = _group_of(file.metadata, self.start)
            batches = file.iter_batches(
                self.batch_rows, row_groups=list(range(group, file.num_row_groups)), columns=list(self.roles.needed)
            )
        for item in self._counted(batches, first):
            self._done = (item[1] + item[2]) / max(1, file.metadata.num_rows)
            yield item

    def _counted(self, batches: Iterator[Any], first: int) -> Iterator[tuple[dict[str, Any], int, int]]:
        while True:
            with readable(self.path):
                batch = next(batches, None)
            if batch is None:
                return
            yield {name: batch.column(name) for name in batch.schema.names}, batch.num_rows, first
            first += batch.num_rows

    def _csv(self) -> Iterator[tuple[dict[str, Any], int, int]]:
        size = max(1, self.path.stat().st_size)
        types = _types(self.path, self.header, self.roles)
        try:
            with arrow().OSFile(str(self.path)) as file, readable(self.path):
                reader = arrow(".csv").open_csv(file, **csv_options(self.header, self.roles.needed, types, BLOCK))
                for columns, rows, first in self._counted(reader, 0):
                    self._done = min(1.0, file.tell() / size)
                    yield columns, rows, first
        except DataError as error:
            if "conversion error" in str(error):
                self._find_text()
            raise

    def _find_text(self) -> None:
        """Reads the file anew as text, and raises the `DataError` that names the cells which are no numbers."""
        columns = dict.fromkeys(self.roles.columns, arrow().string())
        options = csv_options(self.header, self.roles.columns, columns, BLOCK)
        for cells, rows, first in self._counted(arrow(".csv").open_csv(self.path, **options), 0):
            matrix(cells, rows, str(self.path), first=first, new=True)


def _check_kind(path: Path, preparation: Preparation) -> None:
    if path.suffix.lower() not in SUFFIXES or path.is_dir():
        raise DataError(
            f"{path}: expected a .parquet or .csv file, got {path.suffix or path.name!r}.\n"
            "  fix: arrays are read whole: data.read"
        )
    if not preparation.names:
        raise DataError(
            f"{path}: got a table, but the run was trained on arrays of shape {preparation.shape}.\n"
            "  fix: train on a table: --data TABLE.csv"
        )


def _group_of(metadata: Any, start: int) -> tuple[int, int]:
    """The row group that holds the row `start`, and the number of its first row."""
    first = 0
    for group in range(metadata.num_row_groups):
        rows = metadata.row_group(group).num_rows
        if start < first + rows:
            return group, first
        first += rows
    return metadata.num_row_groups, first


def _types(path: Path, header: Header, roles: Roles) -> dict[str, Any]:
    """How the columns of a .csv file are to be read: as numbers, or as truth values where the first block shows these."""
    pa = arrow()
    with readable(path), arrow(".csv").open_csv(path, **csv_options(header, roles.needed)) as reader:
        schema = reader.schema
    truths = {name for name in roles.columns if pa.types.is_boolean(schema.field(name).type)}
    numbers = {name: pa.bool_() if name in truths else pa.float64() for name in roles.columns}
    return {name: pa.string() for name in roles.needed} | numbers
