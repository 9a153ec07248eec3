"""What all shipped likelihoods share: a decoder with a head, and the one place where missing values are filled."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from typing import final

import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from vaekit.core import Batch, DataSpec, Given, Likelihood, full
from vaekit.errors import DataError
from vaekit.nets.heads import head
from vaekit.nets.shapes import Shape, join


class Decoded(Likelihood):
    """A likelihood whose parameters are `head(decoder(state, context))`. Derived classes say what they mean.

    Args:
        numbers: how many numbers a site needs.
        spec: what the data is.
        features: the decoder's output shape.
        decoder: the network from the latent state to features.
    """

    fill: Tensor

    def __init__(self, numbers: int, spec: DataSpec, features: Shape, decoder: nn.Module) -> None:
        super().__init__()
        self.spec = spec
        self.numbers = numbers
        self.decoder = decoder
        self.head = head(features, (numbers * spec.shape[0], *spec.shape[1:]))
        fill = per_site(spec.mean, spec) if spec.levels is None else torch.zeros(())
        self.register_buffer("fill", fill, persistent=False)

    @final
    def parameters_given(self, given: Given) -> Tensor:
        """What the head says about every site, in full precision, `(N, numbers, *shape)`."""
        parts = [part for part in (given.state, given.context) if part is not None]
        decoded = self.head(self.decoder(join(parts, as_map=parts[0].ndim == 4)))
        return full(decoded.contiguous()).reshape(-1, self.numbers, *self.spec.shape)

    @final
    def prepare(self, batch: Batch, generator: Generator | None = None) -> Batch:
        """Raw data → model units, with the log-determinant. What was not observed is replaced before anything else."""
        x = batch.x
        assert isinstance(x, Tensor), "named parts need a likelihood of their own"
        if isinstance(batch.mask, Tensor):
            # NaN · 0 is NaN, in the value and in the gradient: hence where, not a product.
            x = torch.where(batch.mask.bool(), x, self.fill.to(x.dtype))
        x, log_det = self.convert(x, generator)
        return replace(batch, x=x, log_det=log_det)

    @abstractmethod
    def convert(self, x: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor | float]:
        """Raw data without gaps `(B, *shape)` → model units, and log |d units / d raw| per site."""

    @final
    def start_at(self, numbers: Tensor) -> None:
        """Let the head start with these numbers for every site, `(numbers, *shape)`."""
        self.head.start_at(numbers.expand(self.numbers, *self.spec.shape).flatten(0, 1))


def per_site(values: tuple[float, ...], spec: DataSpec) -> Tensor:
    """Statistics of the data (one number, or one for every channel or column), so that they broadcast to `shape`."""
    if len(values) not in (1, spec.shape[0]):
        raise DataError(
            f"expected 1 or {spec.shape[0]} values of mean and scale for data of shape {spec.shape}, got {len(values)}."
        )
    return torch.tensor(values, dtype=torch.float32).reshape(-1, *[1] * (len(spec.shape) - 1))


def need_levels(spec: DataSpec, name: str, instead: str) -> int:
    """The number of levels of the data, or an error that says which likelihood fits."""
    if spec.levels is None:
        raise DataError(
            f"likelihood '{name}' needs data with levels (integers 0 … K−1), got continuous data.\n  fix: use {instead}"
        )
    if spec.levels < 2:
        raise DataError(f"likelihood '{name}' needs data with at least 2 levels, got {spec.levels}: it is constant.")
    return spec.levels


def unit(levels: Tensor, count: int) -> Tensor:
    """Levels 0 … K−1 → evenly spaced numbers on [−1, 1]."""
    return levels.float() * (2 / (count - 1)) - 1


def levels_of(x: Tensor, count: int) -> Tensor:
    """Numbers on [−1, 1] → levels 0 … K−1 (not rounded)."""
    return (x + 1) * ((count - 1) / 2)


def floored(raw: Tensor, floor: float) -> Tensor:
    """A number above `floor`, smoothly: far above it is `raw` itself, and the gradient never vanishes altogether."""
    return floor + F.softplus(raw - floor)


def unfloored(value: float, floor: float) -> float:
    """The raw number that `floored` turns into `value`."""
    return floor + math.log(math.expm1(value - floor))
