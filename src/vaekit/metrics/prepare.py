"""Held-out data, prepared once: the noise of every row (binarization, dequantization) is a function of a seed and its number.

So a figure does not depend on batches, on their order, or on which other rows are evaluated along with a row.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor

from vaekit.core import Batch, Likelihood, each
from vaekit.engine.memory import rows_at_once
from vaekit.metrics.noise import seed_of
from vaekit.model import VAE

READ = 256  # rows that are read together
_DATA = 1  # the stream of noise that belongs to the data; another number for another use


class Split(Protocol):
    """What is asked of one split of the data."""

    def __len__(self) -> int: ...

    def batches(self, order: Tensor, batch_size: int, drop_last: bool = False) -> Iterator[Batch]: ...


@dataclass(frozen=True)
class Chunk:
    """Rows as they were read, and prepared. The model can be handed `fits` rows at once."""

    raw: Batch  # B rows
    batch: Batch  # the same, prepared; its index says which rows they are
    fits: int

    def __len__(self) -> int:
        return len(self.batch)

    @property
    def numbers(self) -> list[int]:
        """The rows' numbers in their split."""
        return self.batch.index.tolist()  # type: ignore[union-attr]

    def parts(self, size: int) -> Iterator[Chunk]:
        """The same in pieces of at most `size` rows."""
        for start in range(0, len(self), size):
            piece = slice(start, start + size)
            yield Chunk(cut(self.raw, piece), cut(self.batch, piece), self.fits)


def chunks(model: VAE, rows: Split, seed: int, order: Tensor | None = None, read: int = 0) -> Iterator[Chunk]:
    """The rows `order` (m,) of a split, by default all, in that order, as many at once as memory allows.

    Rows that turn out to be unreadable are left out. The model is on the device of the rows.
    `read` rows are read together; 0: few enough for images of any size.
    """
    order = torch.arange(len(rows)) if order is None else order
    fits = 0
    for raw in rows.batches(order, read or READ):
        if not len(raw):
            continue
        ready = prepared(model.likelihood, raw, seed)
        if not fits:
            first = cut(ready, slice(0, 1))
            fits = rows_at_once(model, lambda first=first: model(first), device_of(raw))  # type: ignore[misc]
        yield from Chunk(raw, ready, fits).parts(fits)


def prepared(likelihood: Likelihood, raw: Batch, seed: int) -> Batch:
    """A batch in the units of the likelihood: each row with noise of its own, or all at once where there is no noise."""
    raw = replace(raw, index=torch.arange(len(raw)) if raw.index is None else raw.index.cpu())
    generator = torch.Generator(device=device_of(raw))
    before = generator.get_state()
    whole = likelihood.prepare(raw, generator)
    if torch.equal(generator.get_state(), before):  # no noise was drawn
        return whole
    ready = []
    for position, number in enumerate(raw.index.tolist()):  # type: ignore[union-attr]
        generator.manual_seed(seed_of(seed, _DATA, number))
        ready.append(likelihood.prepare(cut(raw, slice(position, position + 1)), generator))
    return join(ready)


def cut(batch: Batch, piece: slice | Tensor) -> Batch:
    """Some rows of a batch: a range, or their positions in any order and more than once."""
    names = ["x", "mask", "context", "observed", "index"]
    if has_own_log_det(batch):
        names.append("log_det")
    return replace(batch, **{name: each(lambda value: value[piece], getattr(batch, name)) for name in names})


def join(rows: Sequence[Batch]) -> Batch:
    """Prepared batches with the same entries, as one."""
    first = rows[0]
    if len(rows) == 1:
        return first
    names = ["x", "mask", "context", "observed", "index"]
    if has_own_log_det(first):
        names.append("log_det")
    return replace(first, **{name: side_by_side([getattr(row, name) for row in rows]) for name in names})


def has_own_log_det(batch: Batch) -> bool:
    """Whether every row has a log-determinant of its own, rather than one for all."""
    log_det, x = batch.log_det, batch.x
    return isinstance(log_det, Tensor) and isinstance(x, Tensor) and log_det.ndim == x.ndim and len(log_det) == len(x)


def side_by_side(parts: Sequence[Any]) -> Any:
    """Tensors, or mappings of tensors, one after the other along the rows."""
    first = parts[0]
    if isinstance(first, Tensor):
        return torch.cat(list(parts))
    if first is None:
        return None
    return {name: side_by_side([part[name] for part in parts]) for name in first}


def device_of(batch: Batch) -> torch.device:
    """Where a batch is."""
    x = batch.x if isinstance(batch.x, Tensor) else next(iter(batch.x.values()))
    return x.device


def evenly(total: int, n: int) -> Tensor:
    """n row numbers out of `total`, evenly spaced: rows may lie in the order of their classes, (n,).

    >>> evenly(100, 4).tolist()
    [12, 37, 62, 87]
    """
    return ((torch.arange(n, dtype=torch.float64) + 0.5) * (total / max(n, 1))).long()
