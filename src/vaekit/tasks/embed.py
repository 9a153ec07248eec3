"""Examples as points of the latent space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.data.context import LABEL
from vaekit.engine.runtime import seeded
from vaekit.metrics import centred
from vaekit.run import Run, SplitName
from vaekit.tasks.decoding import flat
from vaekit.tasks.embedding import Embedding, load_embedding
from vaekit.tasks.rows import Progress, chosen, walk


def embed(
    run: Run,
    data: Any = None,
    split: SplitName = "test",
    *,
    n: int | None = None,
    indices: Sequence[int] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Embedding:
    """The centre and the standard deviation of the posterior of every example, in input order.

    Args:
        run: the trained model.
        data: instead of the run's own: a path, an array, a tensor, PIL images, or rows.
        split: of the run's own data.
        n: that many evenly spaced examples; None: all.
        indices: or these.
        seed: of the noise that prepares the data (binarization, dequantization); each row has its own.
        progress: called with the number of examples done, and of all.

    Raises:
        ConfigError, DataError: `n` below 1, indices out of range; no rows; data that does not fit.
    """
    where = chosen(run, data, split, n=n, indices=indices)
    means, scales, numbers = list[Tensor](), list[Tensor](), list[int]()
    with torch.no_grad(), seeded(seed, next(run.model.parameters()).device):
        for chunk in walk(run, where, seed, progress):
            latents = centred(run.model, chunk.batch).latents
            means.append(flat({latent.name: latent.z for latent in latents}).cpu())
            scales.append(flat({latent.name: spread(latent.q, latent.z) for latent in latents}).cpu())
            numbers += chunk.numbers
    labels, classes = where.labels_of(numbers), run.spec.classes
    context = {
        name: values.cpu()[numbers].reshape(len(numbers), -1).float()
        for name, values in where.rows.context.items()
        if name != LABEL  # which stands among the labels
    }
    return Embedding(torch.cat(means), torch.cat(scales), tuple(where.ids(numbers)), labels, classes, context)


def spread(q: Distribution | None, z: Tensor) -> Tensor:
    """The standard deviation of q, NaN for a family without one, (B, *latent)."""
    try:
        found = None if q is None else q.stddev
    except NotImplementedError:
        found = None
    return torch.full_like(z, math.nan) if found is None or found.shape != z.shape else found


__all__ = ["Embedding", "embed", "load_embedding"]
