"""Means of the reported terms over an epoch, read from the device rarely."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

_PENDING = 64  # batches between two readings of their terms: each reading waits for the device


class Meter:
    """Sums of the terms of the batches whose terms are all finite, and their number, added one batch after another."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.sums: list[float] = []
        self.count = 0
        self.pending: list[Mapping[str, Tensor]] = []

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Take in one batch's terms, () each."""
        self.pending.append(terms)
        if len(self.pending) >= _PENDING:
            self.read()

    def read(self) -> None:
        """Add up what is pending. Waits for the device; when that happens makes no difference to the sums."""
        if not self.pending:
            return
        if not self.names:
            self.names = list(self.pending[0])
            self.sums = [0.0] * len(self.names)
        table = torch.stack([value.detach() for terms in self.pending for value in terms.values()])
        for values in table.double().reshape(len(self.pending), -1).tolist():
            if all(map(math.isfinite, values)):
                self.sums = [total + value for total, value in zip(self.sums, values, strict=True)]
                self.count += 1
        self.pending = []

    def means(self) -> dict[str, float]:
        """`elbo_nats` and so on: mean over the batches, in nats per example; NaN where none was finite."""
        self.read()
        return {
            f"{name}_nats": total / self.count if self.count else math.nan
            for name, total in zip(self.names, self.sums, strict=True)
        }

    def clear(self) -> None:
        """Begin a new epoch."""
        self.pending, self.sums, self.count = [], [0.0] * len(self.names), 0

    def state(self) -> dict[str, Tensor]:
        """The sums and the count, for a checkpoint."""
        self.read()
        return {"meter/sums": torch.tensor([*self.sums, float(self.count)], dtype=torch.float64)}

    def restore(self, tensors: Mapping[str, Tensor], names: list[str]) -> None:
        """Take the sums of a checkpoint."""
        *self.sums, count = tensors["meter/sums"].tolist()
        self.names, self.count, self.pending = names, int(count), []
