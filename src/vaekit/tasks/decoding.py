"""From latents to images (or rows of a table) in the data's own units, in bounded memory."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.core import each
from vaekit.engine.memory import rows_at_once
from vaekit.engine.runtime import seeded
from vaekit.errors import ConfigError
from vaekit.metrics.pointwise import centre
from vaekit.model import VAE, Context
from vaekit.run import Run
from vaekit.tasks.rows import Progress, device_for

Pixels = Literal["mean", "sample"]  # the central value of p(x | z), or a draw from it


def decoded(
    run: Run,
    latents: Mapping[str, Tensor],
    pixels: Pixels = "mean",
    seed: int = 0,
    *,
    context: Context | None = None,
    progress: Progress | None = None,
) -> Tensor:
    """Group name → latents (n, *latent), to data in its own units (n, *shape), on the CPU, under a context of n rows."""
    check_pixels(pixels)
    device, total = device_for(run), len(next(iter(latents.values())))
    parts: list[Tensor] = []
    with torch.no_grad(), seeded(seed, device):
        for piece in pieces(run, total, progress):
            values = {name: z[piece].to(device) for name, z in latents.items()}
            parts.append(restored(run.model, run.model.decode(values, some_rows(context, piece, device)), pixels))
    return torch.cat(parts)


def some_rows(context: Context | None, piece: slice, device: torch.device) -> Context | None:
    """Some rows of a context, named or embedded, on a device."""
    found: Context | None = each(lambda value: value[piece].to(device), context)
    return found


def restored(model: VAE, likelihood: Distribution, pixels: Pixels) -> Tensor:
    """The centre of p(x | z), or a draw, in the data's own units, (N, *shape), on the CPU."""
    x = centre(likelihood) if pixels == "mean" else likelihood.sample()
    return model.likelihood.restore(x).float().cpu()


def pieces(run: Run, total: int, progress: Progress | None = None) -> Iterator[slice]:
    """Slices of `total` rows, each as many as the decoder can be handed at once."""
    size = decodable_rows(run)
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))
        if progress is not None:
            progress(min(start + size, total), total)


def decodable_rows(run: Run) -> int:
    """How many rows the decoder can be handed at once."""
    device = device_for(run)
    zeros = {name: torch.zeros(1, *shape, device=device) for name, shape in run.latent_shapes.items()}
    return rows_at_once(run.model, lambda: run.model.decode(zeros), device)


def flat(latents: Mapping[str, Tensor]) -> Tensor:
    """Group name → (n, *latent), to (n, d): groups one after the other, maps flattened."""
    return torch.cat([z.flatten(1) for z in latents.values()], dim=1)


def unflat(run: Run, values: Tensor) -> dict[str, Tensor]:
    """The inverse of `flat`."""
    shapes = run.latent_shapes
    parts = torch.split(values, [math.prod(shape) for shape in shapes.values()], dim=1)
    return {name: part.reshape(-1, *shape) for (name, shape), part in zip(shapes.items(), parts, strict=True)}


def width(run: Run) -> int:
    """The number d of latent dimensions over all groups."""
    return sum(math.prod(shape) for shape in run.latent_shapes.values())


def check_pixels(pixels: str) -> None:
    """Raise `ConfigError` for anything but `mean` and `sample`."""
    if pixels not in get_args(Pixels):
        raise ConfigError(f"pixels: expected 'mean' or 'sample', got {pixels!r}")


def above_zero(name: str, value: float) -> None:
    """Raise `ConfigError` unless `value` is a finite number above zero."""
    if not math.isfinite(value) or value <= 0:
        raise ConfigError(f"{name}: expected a number above 0, got {value!r}")
