"""What makes a row abnormal: which numbers of it cost more than their expected values would."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaekit.engine.runtime import seeded
from vaekit.metrics.abnormality import see, surprise
from vaekit.metrics.pointwise import reconstruction
from vaekit.run import Run, SplitName
from vaekit.tasks.rows import Progress, chosen, device_for, walk


@dataclass(frozen=True)
class Attribution:
    """Rows beside what was expected of them, and what every number costs, in the order that was asked for."""

    inputs: Tensor  # in the data's own units, (n, *shape)
    expected: Tensor  # the centre of p(x | z) at the centre of q, (n, *shape)
    nats: Tensor  # log p(x̂ | z) − log p(x | z) of every number, (n, *sites)
    ids: tuple[str, ...]

    @property
    def heat(self) -> Tensor:
        """Nats of every pixel of an image, over its channels, (n, H, W)."""
        return self.nats if self.nats.ndim == 3 else self.nats.sum(1)


def attribute(
    run: Run | Sequence[Run],
    data: Any = None,
    split: SplitName = "test",
    *,
    n: int | None = None,
    indices: Sequence[int] | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Attribution:
    """Tell apart what every number of some rows costs, in nats more than its expected value would.

        log p(x̂_i | z) − log p(x_i | z),   z the centre of q(z | x), x̂ the centre of p(x | z)

    Args:
        run: the trained model, or several of the same data: averages of theirs.
        data: instead of the run's own: a path, an array, a data frame, a tensor, PIL images, or rows.
        split: of the run's own data.
        n: that many evenly spaced rows; None: all.
        indices: or these.
        seed: of the noise that prepares the data.
        progress: called with the number of rows done, and of all.

    Raises:
        ConfigError, DataError: no rows; data that does not fit; a likelihood without sites.
    """
    runs = [run] if isinstance(run, Run) else list(run)
    where = chosen(runs[0], data, split, n=n, indices=indices)
    found = []
    for one in runs:
        device_for(one)
        inputs, expected, nats, numbers = list[Tensor](), list[Tensor](), list[Tensor](), list[int]()
        with torch.no_grad(), seeded(seed, next(one.model.parameters()).device):
            for chunk in walk(one, where, seed, progress):
                seen = see(one.model, chunk.raw, chunk.batch)
                assert isinstance(chunk.raw.x, Tensor), "named parts have no common attribution"
                inputs.append(chunk.raw.x.cpu())
                expected.append(reconstruction(one.model, seen.trace).float().cpu())
                nats.append(surprise(seen).float().cpu())
                numbers += chunk.numbers
        found.append((torch.cat(expected), torch.cat(nats)))
    means = [torch.stack(parts).mean(0) for parts in zip(*found, strict=True)]
    return Attribution(torch.cat(inputs), means[0], means[1], tuple(where.ids(numbers)))


__all__ = ["Attribution", "attribute"]
