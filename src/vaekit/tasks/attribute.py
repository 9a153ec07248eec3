"""What makes rows abnormal: the columns, or the places of an image, whose repair would make them usual again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaekit.metrics.reasons import Repairs, repairs
from vaekit.run import Run, SplitName
from vaekit.tasks.detect import several
from vaekit.tasks.rows import Progress, chosen, device_for

AT_ONCE = 64  # rows between two signs of progress


@dataclass(frozen=True)
class Attribution:
    """Rows beside what was expected of them, and what their numbers cost, in the order that was asked for."""

    inputs: Tensor  # in the data's own units, (n, *shape)
    expected: Tensor  # of each column given the others, (n, D); of images, their reconstruction, (n, C, H, W)
    nats: (
        Tensor  # what the ELBO gains by the repair of each column (n, D), or of the square around each pixel (n, H, W)
    )
    ids: tuple[str, ...]


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
    """Tell apart what the numbers of some rows cost: by how much the ELBO would rise if each were as the others suggest.

        ELBO(x with x_i := E[x_i | x_−i]) − ELBO(x)

    For images i is a small square around each pixel. See `vaekit.metrics.reasons`.

    Args:
        run: the trained model, or several of the same data: averages of theirs.
        data: instead of the run's own: a path, an array, a data frame, a tensor, PIL images, or rows.
        split: of the run's own data.
        n: that many evenly spaced rows; None: all.
        indices: or these.
        seed: of the noise that prepares the data.
        progress: called with the number of rows done, and of all.

    Raises:
        ConfigError, DataError: no rows; data that does not fit, or that is neither rows of numbers nor images.
    """
    runs = several(run)
    where = chosen(runs[0], data, split, n=n, indices=indices)
    parts, done = list[Repairs](), 0
    for one in runs:
        device_for(one)
    for order in torch.split(where.order, AT_ONCE):
        parts.append(repairs([one.model for one in runs], where.rows, order, seed))
        done += len(order)
        if progress is not None:
            progress(done, len(where.order))
    x, expected, nats = (torch.cat([getattr(part, name) for part in parts]) for name in ("x", "expected", "nats"))
    numbers = torch.cat([part.numbers for part in parts]).tolist()
    return Attribution(x, expected, nats, tuple(where.ids(numbers)))


__all__ = ["Attribution", "attribute"]
