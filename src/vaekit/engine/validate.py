"""The held-out bound that selects the best weights: the plain ELBO, in float32, with the same noise every time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from vaekit.core import Batch, sum_sites
from vaekit.engine.memory import rows_at_once
from vaekit.engine.runtime import Runtime, seeded
from vaekit.model import VAE

NOISE = 20_140_501  # the seed of every validation: figures of different epochs differ by the weights alone
MOST = 500  # examples in a batch


class Split(Protocol):
    """What the engine asks of one split of the data."""

    def __len__(self) -> int: ...

    def batches(self, order: Tensor, batch_size: int, drop_last: bool = False) -> Iterator[Batch]: ...


class Splits(Protocol):
    """What the engine asks of a data set; a test split is none of its business."""

    @property
    def train(self) -> Split: ...

    @property
    def validation(self) -> Split: ...


@dataclass(frozen=True)
class HeldOut:
    """Means over a held-out split, in nats per example, and the standard error of the ELBO."""

    elbo_nats: float
    stderr: float
    log_likelihood_nats: float
    kl_nats: float
    n: int


def batch_size_for(model: VAE, rows: Split, runtime: Runtime) -> int:
    """Examples in a batch: as many as memory allows, found by a pass of the first example that can be read."""
    first = next(iter(rows.batches(torch.arange(min(MOST, len(rows))), 1)), None)
    if first is None:  # no file can be read; the walk over them says so
        return MOST
    prepared = model.likelihood.prepare(first)
    return min(MOST, rows_at_once(model, lambda: model(prepared), runtime.device))


@torch.no_grad()
def held_out(model: VAE, rows: Split, runtime: Runtime, limit: int | None = None) -> HeldOut:
    """The ELBO of `rows` (of the first `limit` of them) with one sample an example."""
    model.eval()
    order, done = torch.arange(len(rows))[:limit], 0
    # Made before the loop: a small tensor that outlives its batch would keep the C library from using the batch's memory again.
    found = torch.empty(2, len(order), dtype=torch.float64)
    with seeded(NOISE, runtime.device):
        for batch in rows.batches(order, batch_size_for(model, rows, runtime)):
            trace = model(model.likelihood.prepare(batch))
            part = found[:, done : done + len(batch)]
            part[0] = trace.expect(sum_sites(trace.log_likelihood()))
            part[1] = torch.stack([trace.expect(sum_sites(value)) for value in trace.kl().values()]).sum(0)
            done += len(batch)
    model.train()
    scores, costs = found[:, :done]  # (n,); unreadable rows are left out
    elbo = scores - costs
    spread = elbo.std(correction=1).item() if len(elbo) > 1 else math.nan
    return HeldOut(
        elbo_nats=elbo.mean().item(),
        stderr=spread / math.sqrt(len(elbo)),
        log_likelihood_nats=scores.mean().item(),
        kl_nats=costs.mean().item(),
        n=len(elbo),
    )
