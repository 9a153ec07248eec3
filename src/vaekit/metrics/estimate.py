"""A figure with its error bar, and the one place where nats become bits per dimension."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.core import DataSpec


@dataclass(frozen=True)
class Estimate:
    """A mean over n examples and its standard error s / √n, s² with n − 1 in the denominator; NaN for one example.

    >>> Estimate.of(torch.tensor([1.0, 2.0, 3.0, 6.0]))
    Estimate(mean=3.0, stderr=1.0801234497346435, n=4)
    """

    mean: float
    stderr: float
    n: int

    @classmethod
    def of(cls, values: Tensor) -> Estimate:
        """The estimate from one value an example, (n,); computed in double precision."""
        values = values.detach().cpu().double()
        spread = values.std(correction=1).item() if len(values) > 1 else math.nan
        return cls(values.mean().item(), spread / math.sqrt(max(len(values), 1)), len(values))

    def scaled(self, factor: float) -> Estimate:
        """The same in other units."""
        return Estimate(self.mean * factor, self.stderr * abs(factor), self.n)

    def __str__(self) -> str:
        return (
            f"{self.mean:.4g}"
            if math.isnan(self.stderr)
            else f"{self.mean:.{digits(self.stderr)}f} ± {self.stderr:.{digits(self.stderr)}f}"
        )


def digits(stderr: float) -> int:
    """Decimals that a figure with this standard error deserves.

    >>> digits(0.023), digits(1.7), digits(250.0)
    (3, 1, 0)
    """
    return 2 if stderr <= 0 or not math.isfinite(stderr) else max(0, 1 - math.floor(math.log10(stderr)))


def bits_per_dimension(log_prob_nats: Estimate, spec: DataSpec) -> Estimate:
    """−nats / (D ln 2), D the numbers in one example: the one place where bits per dimension are made.

    `log_prob_nats` is about the data in its own units (`Trace.log_likelihood` has the log-determinant of the preparation in
    it), so the figure does not depend on how the model scales the data. For data with levels it is the length of an ideal
    lossless code; for continuous data it is differential: it can be negative, and changes with the data's units.

    >>> spec = DataSpec(shape=(1, 2, 4), levels=2)
    >>> bits_per_dimension(Estimate(-8 * math.log(2), 4 * math.log(2), 10), spec)
    Estimate(mean=1.0, stderr=0.5, n=10)
    """
    return log_prob_nats.scaled(-1 / (spec.dimensions * math.log(2)))


class Moments:
    """Mean and variance over examples, site by site, of values that come in pieces and are not kept."""

    def __init__(self) -> None:
        self.n = 0
        self.mean = torch.zeros((), dtype=torch.float64)  # (*sites)
        self.squares = torch.zeros((), dtype=torch.float64)  # Σ (value − mean)², (*sites)

    def add(self, values: Tensor) -> None:
        """Take in a piece, (B, *sites)."""
        values = values.detach().cpu().double()
        count, mean = len(values), values.mean(0)
        gap, total = mean - self.mean, self.n + count
        # Chan, Golub, LeVeque (1979): sums of squares of parts, joined without cancellation.
        self.squares = self.squares + (values - mean).square().sum(0) + gap.square() * (self.n * count / total)
        self.mean, self.n = self.mean + gap * (count / total), total

    def variance(self) -> Tensor:
        """With n − 1 in the denominator, (*sites)."""
        return self.squares / max(self.n - 1, 1)
