"""The latent space as a flat map."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.tasks.embed import Embedding


@dataclass(frozen=True)
class Flat:
    """Codes as points of the plane, and what the two axes are."""

    points: Tensor  # (n, 2)
    across: str
    up: str
    share: float  # of the variance that the plane shows; NaN where that is no question


def flatten(found: Embedding) -> Flat:
    """Two dimensions as they are; more by their principal components; one beside its posterior's spread."""
    d = found.mean.shape[1]
    if d == 1:
        spread = found.scale.nan_to_num(0.0)
        return Flat(torch.cat([found.mean, spread], 1), "z 0", "standard deviation of its posterior", torch.nan)
    if d == 2:
        return Flat(found.mean, "z 0", "z 1", torch.nan)
    points, shares = principal(found.mean)
    first, second = shares
    return Flat(
        points, f"first principal component ({first:.0%})", f"second principal component ({second:.0%})", first + second
    )


def principal(z: Tensor, count: int = 2) -> tuple[Tensor, list[float]]:
    """The first principal components of `z` (n, d) around its mean, (n, count), and their shares of the variance.

    The centre is added again, so that the origin of the plane is the image of the origin; a direction points to where its
    largest entry is positive, so that the map does not flip by chance.

    References: Pearson (1901), On lines and planes of closest fit to systems of points in space.
    """
    z = z.double()
    centred = z - z.mean(0)
    _, strengths, directions = torch.linalg.svd(centred, full_matrices=False)
    directions = directions[:count]  # (≤ count, d)
    largest = directions.abs().argmax(1, keepdim=True)
    directions = directions * directions.gather(1, largest).sign()
    shares = strengths.square() / strengths.square().sum().clamp(min=1e-30)
    points = torch.zeros(len(z), count, dtype=z.dtype)
    points[:, : len(directions)] = z @ directions.T
    return points.float(), [*shares[:count].tolist(), 0.0, 0.0][:count]
