"""What is found of rows, and as a table: a line a row."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import Tensor

from vaekit.core import DataSpec
from vaekit.errors import ConfigError, MissingExtraError
from vaekit.metrics.detector import Reasons
from vaekit.tasks.records import plain, to_csv

if TYPE_CHECKING:
    pass

COLUMNS = ("column", "value", "expected", "nats")  # of each reason


@dataclass(frozen=True)
class Verdicts:
    """Rows in input order, (n,) each."""

    ids: Sequence[str]
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


def to_table(
    found: Verdicts, parts: Mapping[str, Tensor], spec: DataSpec | None, classes: Sequence[str], suffix: str
) -> bytes:
    """The bytes of a `.csv` or a `.parquet` file. Raises `ConfigError` for another ending."""
    columns = columns_of(found, parts, spec, classes)
    if suffix.lower() == ".csv":
        return to_csv(list(columns), zip(*(values.tolist() for values in columns.values()), strict=True))
    if suffix.lower() != ".parquet":
        raise ConfigError(f"expected a name that ends in .csv or .parquet, got '{suffix}'")
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise MissingExtraError("pyarrow", "tables", "a .parquet file") from None
    stream = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), stream)
    return stream.getvalue()


def columns_of(
    found: Verdicts, parts: Mapping[str, Tensor], spec: DataSpec | None, classes: Sequence[str]
) -> dict[str, np.ndarray[Any, Any]]:
    """Name → one value a row: id, label, score, its parts where there are several, p-value, verdict, and the reasons."""
    columns: dict[str, np.ndarray[Any, Any]] = {"id": np.array(found.ids)}
    if found.labels is not None:
        columns["label"] = np.array([*classes, ""])[found.labels.numpy()]
    columns["score"] = digits(found.scores)
    if len(parts) > 1:
        columns |= {name: digits(values) for name, values in parts.items()}
    columns |= {"p_value": digits(found.p_values), "abnormal": found.abnormal.numpy().astype(np.int8)}
    return columns | (reason_columns(found.reasons, spec) if found.reasons is not None else {})


def reason_columns(reasons: Reasons, spec: DataSpec | None) -> dict[str, np.ndarray[Any, Any]]:
    """`column_1`, `value_1`, `expected_1`, `nats_1`, `column_2`, ..."""
    names = np.array(
        spec.names if spec is not None and spec.names else [f"x{i}" for i in range(int(reasons.column.max()) + 1)]
    )
    columns = {}
    for rank in range(reasons.column.shape[1]):
        values = (names[reasons.column[:, rank].numpy()], reasons.value, reasons.expected, reasons.nats)
        for key, value in zip(COLUMNS, values, strict=True):
            columns[f"{key}_{rank + 1}"] = digits(value[:, rank]) if isinstance(value, Tensor) else value
    return columns


def digits(values: Tensor) -> np.ndarray[Any, Any]:
    """Six significant digits: what single precision can tell."""
    numbers = values.double().numpy()
    with np.errstate(divide="ignore", invalid="ignore"):
        magnitude = np.where(np.isfinite(numbers) & (numbers != 0), np.floor(np.log10(np.abs(numbers))), 0)
    factor = 10.0 ** (5 - magnitude)
    return np.where(np.isfinite(numbers), np.round(numbers * factor) / factor, numbers)


__all__ = ["Verdicts", "columns_of", "to_table"]
