"""What every source returns: three disjoint splits, what the data is, and how new data is brought into its shape."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, TypeAlias, get_args

import torch
from torch import Tensor

from vaekit.core import Batch, DataSpec
from vaekit.errors import DataError

Fit: TypeAlias = Literal["crop", "pad", "stretch"]
Missing: TypeAlias = Literal["error", "drop", "observed"]
Split: TypeAlias = Literal["train", "validation", "test"]


@dataclass(frozen=True)
class Preparation:
    """How a file, an array or an image is brought into the shape a run was trained on; saved with the run.

    Image files are turned upright, laid over white where they are transparent, reduced to 8 bits and to the run's
    channels, and then fitted: `crop` scales until the frame is covered and cuts the centre, `pad` scales until the
    image is inside and fills with black, `stretch` scales each side on its own. `source_levels` is the number of values
    that the data has before it is reduced to `levels` of them (equal bins: `⌊x · levels / source_levels⌋`); image files
    always have 256. Arrays are never resized. Continuous data (`levels` None) keeps its units: the model standardizes.

    Tables have `names`, those of their columns in the model's order; new data is brought into that order. `label` is the
    column of classes (`normal` the class that was trained on) and `id` that of the rows' names; `ignored` are the columns
    that were there and were left out, `missing` is what is done about empty cells.

    >>> Preparation.from_dict(Preparation((1, 28, 28), levels=256).to_dict()).shape
    (1, 28, 28)
    """

    shape: tuple[int, ...]
    levels: int | None = None
    source_levels: int | None = None  # None: as many as `levels`
    fit: Fit = "crop"
    classes: tuple[str, ...] = ()
    names: tuple[str, ...] = ()  # empty: no table
    label: str | None = None
    normal: str | None = None
    id: str | None = None
    missing: Missing = "error"
    ignored: tuple[str, ...] = ()

    @property
    def raw_levels(self) -> int | None:
        """How many values arrays of this data have before any reduction; None for continuous data."""
        return self.source_levels or self.levels

    def to_dict(self) -> dict[str, Any]:
        """Plain lists, numbers and strings, for JSON."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Preparation:
        """The inverse of `to_dict`. Raises `DataError` where a key is unknown, missing, or has the wrong type."""
        known = {item.name for item in fields(cls)}
        if not set(values) <= known or "shape" not in values:
            raise DataError(f"preparation: expected the keys {sorted(known)}, got {sorted(values)}")
        ready: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        result = cls(**ready)
        _check_preparation(result)
        return result


def _check_preparation(preparation: Preparation) -> None:
    shape, counts = preparation.shape, (preparation.levels, preparation.source_levels)
    good = isinstance(shape, tuple) and bool(shape) and all(isinstance(side, int) and side > 0 for side in shape)
    good = good and all(count is None or (isinstance(count, int) and count >= 2) for count in counts)
    good = good and preparation.fit in get_args(Fit) and all(isinstance(name, str) for name in preparation.classes)
    roles = (preparation.label, preparation.normal, preparation.id)
    good = good and preparation.missing in get_args(Missing) and all(isinstance(r, str | None) for r in roles)
    good = good and all(isinstance(name, str) for name in (*preparation.names, *preparation.ignored))
    good = good and (not preparation.names or shape == (len(preparation.names),))
    if not good:
        raise DataError(f"preparation: expected a shape, levels, a fit and names, got {asdict(preparation)}")


class Rows(ABC):
    """One split: rows that can be gathered in any order. `Batch.x` is raw: levels as uint8, or float32 in own units.

    `labels` are class numbers (n,), int64, −1 where unknown, or None; `context` has the entries that condition the model,
    by name, as `ContextSpec` says; `ids` say which file or source row each one is.
    """

    spec: DataSpec
    labels: Tensor | None  # (n,)
    context: Mapping[str, Tensor]  # (n,) or (n, size) each
    ids: Sequence[str]

    @abstractmethod
    def __len__(self) -> int:
        """The number of rows n."""

    @abstractmethod
    def gather(self, index: Tensor) -> Batch:
        """The rows `index` (B,), in that order; `Batch.index` says which ones came."""

    @abstractmethod
    def batches(self, order: Tensor, batch_size: int, drop_last: bool = False) -> Iterator[Batch]:
        """Batches of the rows `order` (m,), in that order.

        A file that turns out broken while it is read is left out of its batch, so place outputs by `Batch.index`.
        """

    @abstractmethod
    def select(self, index: Tensor) -> Rows:
        """The rows `index` as a split of their own, numbered anew."""

    @abstractmethod
    def to(self, device: torch.device | str) -> Rows:
        """The same rows; batches come on `device`."""

    def in_order(self, batch_size: int) -> Iterator[Batch]:
        """All rows once, first to last."""
        return self.batches(torch.arange(len(self)), batch_size)


@dataclass(frozen=True)
class Dataset:
    """A source, loaded: disjoint and reproducible splits, and what a run records about them.

    `fingerprint` is a SHA-256 over the content and the splits; `remarks` are sentences that the user should see (files
    left out, a size that was chosen, columns that are constant).
    """

    name: str
    spec: DataSpec
    preparation: Preparation
    train: Rows
    validation: Rows
    test: Rows
    fingerprint: str
    remarks: tuple[str, ...] = ()

    def split(self, name: Split) -> Rows:
        """The rows of one split by name.

        Raises `DataError` where there is no such split.
        """
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        if name not in splits:
            raise DataError(f"expected a split out of {', '.join(splits)}; got '{name}'")
        return splits[name]


def rows_of(context: Mapping[str, Tensor], index: Tensor) -> dict[str, Tensor]:
    """Some rows of every entry of a context."""
    return {name: values.index_select(0, index) for name, values in context.items()}


def pieces(order: Tensor, batch_size: int, drop_last: bool) -> Sequence[Tensor]:
    """`order` (m,) cut into batches; the last one may be short, or is dropped."""
    if drop_last:
        order = order[: len(order) // batch_size * batch_size]
    return torch.split(order, batch_size) if len(order) else ()
