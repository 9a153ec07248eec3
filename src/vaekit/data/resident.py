"""Data that fits in memory: one tensor, indexed by a permutation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from torch import Tensor

from vaekit.core import Batch, DataSpec
from vaekit.data.dataset import Rows, pieces, rows_of
from vaekit.data.ids import Numbers, pick


@dataclass(frozen=True, eq=False)
class ResidentRows(Rows):
    """Rows of one tensor `x` (n, *shape), uint8 levels or float32. A batch is one `index_select` on its device.

    With `gaps` NaN marks what was not observed, and batches carry the mask of what was.

    >>> rows = ResidentRows(torch.arange(6, dtype=torch.uint8).reshape(3, 2), DataSpec((2,), levels=6))
    >>> rows.gather(torch.tensor([2, 0])).x.tolist()
    [[4, 5], [0, 1]]
    >>> rows = ResidentRows(torch.tensor([[1.0, float("nan")]]), DataSpec((2,)), gaps=True)
    >>> rows.gather(torch.tensor([0])).mask
    tensor([[ True, False]])
    """

    x: Tensor  # (n, *shape)
    spec: DataSpec
    labels: Tensor | None = None  # (n,)
    ids: Sequence[str] = ()
    context: Mapping[str, Tensor] = field(default_factory=dict)  # (n, ...) each
    gaps: bool = False  # whether `x` has NaN where nothing was observed

    def __post_init__(self) -> None:
        if not self.ids and len(self.x):
            object.__setattr__(self, "ids", Numbers(torch.arange(len(self.x))))
        assert tuple(self.x.shape[1:]) == self.spec.shape, f"{tuple(self.x.shape)} is no stack of {self.spec.shape}"
        assert len(self.ids) == len(self.x) and (self.labels is None or len(self.labels) == len(self.x))

    def __len__(self) -> int:
        return len(self.x)

    def gather(self, index: Tensor) -> Batch:
        return self._batch(index.to(self.x.device))

    def batches(self, order: Tensor, batch_size: int, drop_last: bool = False) -> Iterator[Batch]:
        for index in pieces(order.to(self.x.device), batch_size, drop_last):
            yield self._batch(index)

    def select(self, index: Tensor) -> ResidentRows:
        index = index.to(self.x.device)
        labels = None if self.labels is None else self.labels[index]
        context = rows_of(self.context, index)
        return ResidentRows(self.x.index_select(0, index), self.spec, labels, pick(self.ids, index), context, self.gaps)

    def to(self, device: torch.device | str) -> ResidentRows:
        labels = None if self.labels is None else self.labels.to(device)
        context = {name: values.to(device) for name, values in self.context.items()}
        return replace(self, x=self.x.to(device), labels=labels, context=context)

    def _batch(self, index: Tensor) -> Batch:
        x = self.x.index_select(0, index)
        return Batch(x, x.isnan().logical_not() if self.gaps else None, rows_of(self.context, index), index=index)


def has_gaps(x: Tensor) -> bool:
    """Whether some value of a tensor in memory was not observed."""
    return x.is_floating_point() and bool(np.isnan(x.numpy()).any())
