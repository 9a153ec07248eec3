"""Records as plain values, for JSON and CSV."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from vaekit.engine.checkpoint import write_atomically
from vaekit.errors import RunError


def plain(value: Any) -> Any:
    """Mappings, lists, numbers, text, None: what JSON holds. Numbers that are not finite become None."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(entry) for name, entry in value.items()}
    if isinstance(value, Tensor | np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(entry) for entry in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value


def to_csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """A table as CSV, with line feeds at the ends of lines."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return stream.getvalue().encode()


def write(path: str | Path, content: bytes) -> Path:
    """Write a file whole or not at all. Raises `RunError` if the disk is full or the folder cannot be written."""
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
    except OSError as error:
        reason = error.strerror or str(error)
    except RunError as error:
        reason = str(error).splitlines()[0].split(";")[0].removeprefix(f"{path}: ")
    else:
        return path
    raise RunError(f"{path}: cannot be written ({reason}).\n  fix: free some space, or choose another place")


def label_name(label: int, classes: Sequence[str]) -> str:
    """A class by its name; empty for an unknown one."""
    if label < 0:
        return ""
    return classes[label] if label < len(classes) else str(label)
