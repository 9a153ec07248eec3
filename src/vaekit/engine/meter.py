"""Means of the reported terms over an epoch, accumulated on the device and read rarely."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor


class Meter:
    """Sums of the terms of the batches whose terms are all finite, and their number."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.names: list[str] = []
        self.sums = torch.zeros(0, device=device)  # (terms + 1,): the last entry counts the batches

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Take in one batch's terms, () each."""
        if not self.names:
            self.names = list(terms)
            self.sums = torch.zeros(len(terms) + 1, device=self.device)
        values = torch.stack([*terms.values(), torch.ones((), device=self.device)]).detach()
        self.sums += torch.where(values.isfinite().all(), values, 0.0)

    def means(self) -> dict[str, float]:
        """`elbo_nats` and so on: mean over the batches, in nats per example. Waits for the device."""
        if not self.names:
            return {}
        *sums, count = self.sums.tolist()
        if not count:  # none was finite
            sums = [math.nan] * len(sums)
        return {f"{name}_nats": total / max(count, 1.0) for name, total in zip(self.names, sums, strict=True)}

    def clear(self) -> None:
        """Begin a new epoch."""
        self.sums = torch.zeros_like(self.sums)

    def state(self) -> dict[str, Tensor]:
        """The sums, for a checkpoint."""
        return {"meter/sums": self.sums}

    def restore(self, tensors: Mapping[str, Tensor], names: list[str]) -> None:
        """Take the sums of a checkpoint."""
        self.names, self.sums = names, tensors["meter/sums"].to(self.device)
