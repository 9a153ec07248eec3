"""What is found of rows, and as a table: a line a row."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from vaekit.core import DataSpec
from vaekit.errors import ConfigError, MissingExtraError
from vaekit.metrics.reasons import Reasons
from vaekit.tasks.records import plain, to_csv

SUFFIXES = (".csv", ".parquet")


@dataclass(frozen=True)
class Verdicts:
    """Rows in input order, (n,) each."""

    ids: Sequence[str] | NDArray[Any]
    labels: Tensor | None  # class numbers, −1 unknown
    scores: Tensor  # high is abnormal
    p_values: Tensor
    abnormal: Tensor  # booleans
    reasons: Reasons | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        names = ("ids", "labels", "scores", "p_values", "abnormal", "reasons")
        return {name: plain(getattr(self, name)) for name in names}


@dataclass(frozen=True)
class Names:
    """A column of text in which few texts occur: which one each row has, (n,), and the texts."""

    codes: NDArray[Any]
    texts: tuple[str, ...]

    def plain(self) -> NDArray[Any]:
        """The text of every row, (n,)."""
        texts: NDArray[Any] = np.array(self.texts)[self.codes]
        return texts


Columns = Mapping[str, NDArray[Any] | Names]


def columns_of(
    found: Verdicts, parts: Mapping[str, Tensor], spec: DataSpec, classes: Sequence[str]
) -> dict[str, NDArray[Any] | Names]:
    """Name → one value a row: id, label, score, its parts where there are several, p-value, verdict, and the reasons.

    Numbers are in single precision, but for p-values.
    """
    columns: dict[str, NDArray[Any] | Names] = {"id": np.asarray(found.ids)}
    if found.labels is not None:
        codes = found.labels.numpy()
        columns["label"] = Names(np.where(codes < 0, len(classes), codes), (*classes, ""))
    columns["score"] = found.scores.float().numpy()
    if len(parts) > 1:
        columns |= {name: values.float().numpy() for name, values in parts.items()}
    columns |= {"p_value": found.p_values.numpy(), "abnormal": found.abnormal.numpy().astype(np.int8)}
    return columns | (reason_columns(found.reasons, spec) if found.reasons is not None else {})


def reason_columns(reasons: Reasons, spec: DataSpec) -> dict[str, NDArray[Any] | Names]:
    """`column_1`, `value_1`, `expected_1`, `nats_1`, `column_2`, ..."""
    names = spec.names or tuple(f"x{i}" for i in range(spec.dimensions))
    columns: dict[str, NDArray[Any] | Names] = {}
    for rank in range(reasons.column.shape[1]):
        codes = reasons.column[:, rank].numpy()
        columns[f"column_{rank + 1}"] = Names(np.where(codes < 0, len(names), codes), (*names, ""))
        for key in ("value", "expected", "nats"):
            columns[f"{key}_{rank + 1}"] = getattr(reasons, key)[:, rank].float().numpy()
    return columns


def to_table(columns: Columns, suffix: str) -> bytes:
    """The bytes of a `.csv` or a `.parquet` file."""
    check_suffix(suffix)
    if suffix.lower() == ".csv":
        return to_csv(list(columns), zip(*(cells(values) for values in columns.values()), strict=True))
    stream = io.BytesIO()
    parquet().write_table(arrow_table(columns), stream)
    return stream.getvalue()


def cells(values: NDArray[Any] | Names) -> list[Any]:
    """One column as what a `.csv` file takes; empty where a number is not known."""
    if isinstance(values, Names):
        return list(values.plain())
    return ["" if value != value else value for value in values] if values.dtype.kind == "f" else list(values)


def check_suffix(suffix: str) -> None:
    """Raise `ConfigError` for a file that is neither a `.csv` nor a `.parquet` file."""
    if suffix.lower() not in SUFFIXES:
        raise ConfigError(f"expected a name that ends in .csv or .parquet, got '{suffix}'")


def arrow_table(columns: Columns) -> Any:
    """The columns as an Arrow table."""
    import pyarrow

    def column(values: NDArray[Any] | Names) -> Any:
        if isinstance(values, Names):
            return pyarrow.DictionaryArray.from_arrays(values.codes.astype(np.int32), list(values.texts))
        return pyarrow.array(values, from_pandas=True)  # NaN is an empty cell

    return pyarrow.table({name: column(values) for name, values in columns.items()})


def parquet() -> Any:
    """The module that reads and writes `.parquet` files. Raises `MissingExtraError`."""
    try:
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "tables", "a .parquet file") from None
    return pyarrow.parquet
