"""Points of the latent space with their ids and labels, and as files."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from vaekit.errors import DataError, near
from vaekit.tasks.records import label_name, plain, to_csv, write

_CONTEXT = "context_"  # before the names of entries, in files
_COLUMN = re.compile(r"(mean|scale)_(\d+)")


@dataclass(frozen=True)
class Embedding:
    """Posteriors of examples, in input order: groups one after the other, maps flattened."""

    mean: Tensor  # the centre of q(z | x)                              (n, d)
    scale: Tensor  # its standard deviation, NaN where unknown           (n, d)
    ids: tuple[str, ...]
    labels: Tensor | None = None  # class numbers, −1 unknown            (n,)
    classes: tuple[str, ...] = ()
    context: Mapping[str, Tensor] = field(default_factory=dict)  # what else they were inferred under (n, size) each

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values: dict[str, Any] = plain(self)
        return values

    def save(self, path: str | Path) -> Path:
        """Write as `.npz` or `.csv`, which `decode` reads back. Raises `DataError`, `RunError`."""
        suffix = Path(path).suffix.lower()
        if suffix not in (".npz", ".csv"):
            raise DataError(f"{path}: expected a name that ends in .npz or .csv, got '{suffix}'")
        return write(path, self.to_npz() if suffix == ".npz" else self.to_csv())

    def to_npz(self) -> bytes:
        """The bytes of a NumPy archive: `mean`, `scale`, `ids`, and `labels`, `classes` where there are labels."""
        arrays = {"mean": self.mean.numpy(), "scale": self.scale.numpy(), "ids": np.array(self.ids, dtype=np.str_)}
        if self.labels is not None:
            arrays |= {"labels": self.labels.numpy(), "classes": np.array(self.classes, dtype=np.str_)}
        arrays |= {f"context_{name}": values.numpy() for name, values in self.context.items()}
        stream = io.BytesIO()
        np.savez(stream, **arrays)  # type: ignore[arg-type]
        return stream.getvalue()

    def to_csv(self) -> bytes:
        """A line an example: `id`, `label` where there are labels, `mean_0` …, `scale_0` …; float32 to the last bit."""
        named = self.labels is not None
        d = self.mean.shape[1]
        header = ["id", *(["label"] if named else []), *(f"{part}_{i}" for part in ("mean", "scale") for i in range(d))]
        header += [f"context_{name}_{i}" for name, values in self.context.items() for i in range(values.shape[1])]
        names = [] if self.labels is None else [[label_name(int(label), self.classes)] for label in self.labels]
        numbers = torch.cat([self.mean, self.scale, *self.context.values()], dim=1).numpy()
        rows = (
            [self.ids[i], *(names[i] if named else []), *(str(value) for value in numbers[i])]
            for i in range(len(self.ids))
        )
        return to_csv(header, rows)


def load_embedding(path: str | Path) -> Embedding:
    """Read what `Embedding.save` wrote, edited or not; only the means are required.

    Raises `DataError` for a file that cannot be read, unknown or missing columns, or values that are not numbers.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in (".npz", ".npy", ".csv"):
        raise DataError(f"{path}: expected a .npz, .npy or .csv file of latents, got '{suffix}'")
    try:
        found = path.read_text(encoding="utf-8") if suffix == ".csv" else read_arrays(path)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except (OSError, EOFError, ValueError, BadZipFile) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    return from_csv(found, str(path)) if isinstance(found, str) else from_arrays(found, str(path))


def read_arrays(path: Path) -> dict[str, Any]:
    """The arrays of a `.npz` file, or the one of a `.npy` file as `mean`; nothing is unpickled."""
    with open(path, "rb") as file:
        loaded = np.load(file, allow_pickle=False)
        return {"mean": loaded} if isinstance(loaded, np.ndarray) else dict(loaded)


def from_arrays(arrays: dict[str, Any], where: str) -> Embedding:
    """Arrays by name → an embedding."""
    known = ("mean", "scale", "ids", "labels", "classes")
    given = [name for name in arrays if name.startswith(_CONTEXT)]
    check_names([name for name in arrays if name not in given], known, ("mean",), where)
    try:
        mean = torch.from_numpy(np.asarray(arrays["mean"], dtype=np.float32))
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: expected numbers in 'mean', got {arrays['mean'].dtype} ({error})") from None
    if mean.ndim < 2 or not len(mean):
        raise DataError(f"{where}: expected latents of shape (n, d), got {tuple(mean.shape)}")
    n = len(mean)
    for name in ("scale", "ids", "labels", *given):
        if name in arrays and len(arrays[name]) != n:
            raise DataError(f"{where}: expected {n} rows in '{name}', as in 'mean', got {len(arrays[name])}")
    scale = torch.from_numpy(np.asarray(arrays["scale"], dtype=np.float32)) if "scale" in arrays else None
    labels = torch.from_numpy(np.asarray(arrays["labels"], dtype=np.int64)) if "labels" in arrays else None
    return Embedding(
        mean=mean.flatten(1),
        scale=torch.full_like(mean, math.nan).flatten(1) if scale is None else scale.flatten(1),
        ids=tuple(str(name) for name in arrays.get("ids", range(n))),
        labels=labels,
        classes=tuple(str(name) for name in arrays.get("classes", ())),
        context={
            name.removeprefix(_CONTEXT): torch.from_numpy(np.asarray(arrays[name], dtype=np.float32)).reshape(n, -1)
            for name in given
        },
    )


def from_csv(text: str, where: str) -> Embedding:
    """A table with columns `mean_0` … → an embedding."""
    header, *rows = list(csv.reader(io.StringIO(text))) or [[]]
    numbered = [_COLUMN.fullmatch(name) for name in header]
    given = context_columns(header)
    inside = {name for columns in given.values() for name in columns}
    others = [name for name, match in zip(header, numbered, strict=True) if not match and name not in inside]
    d = sum(match is not None and match[1] == "mean" for match in numbered)
    wanted = [f"mean_{i}" for i in range(d)] or ["mean_0"]
    scales = [f"scale_{i}" for i in range(d)]
    check_names([*others, *(match[0] for match in numbered if match)], ("id", "label", *wanted, *scales), wanted, where)
    if not rows:
        raise DataError(f"{where}: expected at least one row below the header, got none")
    column = {name: position for position, name in enumerate(header)}
    parts = {"mean": wanted, "scale": scales if scales and scales[0] in column else []}
    arrays = {part: numbers(rows, [column[name] for name in names], where) for part, names in parts.items() if names}
    ids = [row[column["id"]] for row in rows] if "id" in column else [str(i) for i in range(len(rows))]
    names = [row[column["label"]] for row in rows] if "label" in column else None
    classes = tuple(sorted({name for name in names if name})) if names else ()
    labels = None if names is None else torch.tensor([classes.index(name) if name else -1 for name in names])
    mean = torch.from_numpy(arrays["mean"])
    scale = torch.from_numpy(arrays["scale"]) if "scale" in arrays else torch.full_like(mean, math.nan)
    context = {
        name: torch.from_numpy(numbers(rows, [column[part] for part in parts], where)) for name, parts in given.items()
    }
    return Embedding(mean, scale, tuple(ids), labels, classes, context)


def context_columns(header: Sequence[str]) -> dict[str, list[str]]:
    """The entries of the context that a table has → their columns."""
    found: dict[str, list[str]] = {}
    for name in header:
        if name.startswith(_CONTEXT):
            found.setdefault(name.removeprefix(_CONTEXT).rpartition("_")[0], []).append(name)
    return found


def numbers(rows: Sequence[Sequence[str]], columns: Sequence[int], where: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Some columns of a table as float32, (n, columns). Raises `DataError` with the line."""
    table = np.empty((len(rows), len(columns)), dtype=np.float32)
    for number, row in enumerate(rows):
        try:
            table[number] = [float(row[column]) for column in columns]
        except (ValueError, IndexError) as error:
            raise DataError(
                f"{where}, line {number + 2}: expected {len(columns)} numbers, got a mistake ({error})"
            ) from None
    return table


def check_names(found: Sequence[str], known: Sequence[str], needed: Sequence[str], where: str) -> None:
    """Raise `DataError` for names that are unknown, twice there, or missing."""
    unknown = [name for name in found if name not in known]
    missing = [name for name in needed if name not in found]
    twice = {name for name in found if found.count(name) > 1}
    if unknown:
        raise DataError(
            f"{where}: unknown column '{unknown[0]}'{near(unknown[0], known)}; expected id, label, mean_0 …"
        )
    if missing or twice:
        problem = f"'{sorted(twice)[0]}' is there twice" if twice else f"'{missing[0]}' is missing"
        raise DataError(f"{where}: {problem}; expected the columns {needed[0]} to {needed[-1]}")
