"""Back from points of the latent space, edited or not, to data."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekit.data.context import LABEL, read_column
from vaekit.errors import DataError
from vaekit.run import Run
from vaekit.tasks.conditions import Asked, single
from vaekit.tasks.decoding import Pixels, decoded, unflat, width
from vaekit.tasks.embedding import Embedding, load_embedding
from vaekit.tasks.records import label_name, plain
from vaekit.tasks.rows import Progress


@dataclass(frozen=True)
class Decoded:
    """Examples in the data's own units, in the order of the latents."""

    images: Tensor  # (n, *shape)
    latents: Tensor  # (n, d)
    ids: tuple[str, ...]
    pixels: Pixels

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values: dict[str, Any] = plain(self)
        return values


def decode(
    run: Run,
    latents: Any,
    *,
    pixels: Pixels = "mean",
    seed: int = 0,
    condition: Asked | None = None,
    progress: Progress | None = None,
) -> Decoded:
    """The centre of p(x | z), or a draw from it, at given latents.

    Args:
        run: the trained model.
        latents: an `Embedding`, a `.npz`, `.npy` or `.csv` file of one, or an array or tensor: `(n, d)` with the groups one
            after the other and maps flattened, or `(n, *latent)`.
        pixels: `mean` or `sample`.
        seed: of the draws.
        condition: one value of some entries of the context, `label=7`; the others are those that the latents were inferred
            under, where the embedding or its file has them, else hidden.
        progress: called with the number of examples done, and of all.

    Raises:
        ConfigError: unknown `pixels`, a condition that the run does not know.
        DataError: latents of another shape than the model's, or that are not finite; a file that cannot be read.
    """
    points = as_embedding(latents)
    z, d = points.mean, width(run)
    if z.ndim != 2 or z.shape[1] != d or not len(z):
        shapes = " and ".join(f"'{name}' {shape}" for name, shape in run.latent_shapes.items())
        raise DataError(
            f"expected latents of shape (n, {d}) for the model's {shapes}, got {tuple(z.shape)}.\n"
            "  fix: latents of this run: vaekit embed RUN -o latents.npz"
        )
    if not torch.isfinite(z).all():
        row = int((~torch.isfinite(z)).any(1).nonzero()[0])
        raise DataError(f"expected latents that are finite, got NaN or infinity in row {row} ({points.ids[row]})")
    asked = single(run, condition)
    context = {**context_of(run, points), **({} if asked is None else asked.at(0, len(z)))}
    images = decoded(run, unflat(run, z), pixels, seed, context=context, progress=progress)
    return Decoded(images, z, points.ids, pixels)


def context_of(run: Run, points: Embedding) -> dict[str, Tensor]:
    """What latents were inferred under, as the run numbers it. Raises `DataError` for another number of values."""
    found: dict[str, Tensor] = {}
    for name, entry in run.spec.context.items():
        if name == LABEL and points.labels is not None:
            names = [label_name(int(label), points.classes) for label in points.labels]
            found[name] = read_column(name, np.array(names), len(names), "latents", entry).values
        elif name in points.context:
            values = points.context[name]
            if not entry.is_category and values.shape[1] != entry.size:
                raise DataError(f"latents: expected {entry.size} numbers of '{name}' a row, got {values.shape[1]}")
            found[name] = values[:, 0].long() if entry.is_category else values
    return found


def as_embedding(latents: Any) -> Embedding:
    """Whatever is in hand as latents with ids. Raises `DataError`."""
    if isinstance(latents, Embedding):
        return latents
    if isinstance(latents, str | Path):
        return load_embedding(latents)
    try:
        values = latents.detach().cpu() if isinstance(latents, Tensor) else np.asarray(latents, dtype=np.float32)
        z = torch.as_tensor(values, dtype=torch.float32)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"expected latents as numbers of shape (n, d), got {type(latents).__name__} ({error})"
        ) from None
    z = z.flatten(1) if z.ndim > 1 else z
    return Embedding(z, torch.full_like(z, float("nan")), tuple(str(i) for i in range(len(z) if z.ndim else 0)))
