"""Continuous data with stray values: Student's t in every column."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from annotated_types import Gt
from torch import Generator, Tensor, nn

from vaekit.core import DataSpec, Given
from vaekit.distributions import StudentT as HeavyTailed
from vaekit.errors import DataError
from vaekit.likelihoods.base import Decoded, floored, per_site, unfloored


class StudentT(Decoded):
    """p(x | z) = Π t_ν(y; μ(z), σ) |dy / dx| for continuous data, in standardized units y.

    A stray value costs a normal likelihood the square of its distance, and this one the logarithm: training is not ruled by a
    few rows, and abnormal values keep a finite score.

    Args:
        df: the degrees of freedom ν: lower, heavier tails (1: Cauchy; above 30 about a normal); where learned, their start.
        learn_df: learn ν, one for each site, above 1.
        scale: σ `column`, one learned number for each site (column); or `site`, predicted for every site of every example.
        sigma: where σ starts, in units of y.
        min_sigma: what σ cannot go below, in units of y.
        spec: what the data is.
        features: the decoder's output shape.
        decoder: the network from the latent state to features.
        mean: the mean of the raw training data, `(*shape)`: the first outputs are near it.

    Raises:
        DataError: data with levels.

    References:
        Lange, Little, Taylor (1989), Robust statistical modeling using the t distribution.
        Takahashi et al. (2018), Student-t variational autoencoder for robust density estimation.
    """

    offset: Tensor
    factor: Tensor

    def __init__(
        self,
        df: Annotated[float, Gt(0)] = 4.0,
        learn_df: bool = False,
        scale: Literal["column", "site"] = "column",
        sigma: Annotated[float, Gt(0)] = 0.5,
        min_sigma: Annotated[float, Gt(0)] = 0.05,
        *,
        spec: DataSpec,
        features: tuple[int, ...],
        decoder: nn.Module,
        mean: Tensor | None = None,
    ) -> None:
        super().__init__(2 if scale == "site" else 1, spec, features, decoder)
        if spec.levels is not None:
            raise DataError(
                f"likelihood 'student_t' needs continuous data, got data with {spec.levels} levels.\n"
                "  fix: use likelihood 'logistic' or 'gaussian'"
            )
        self.floor = math.log(min_sigma)
        raw = torch.full(spec.shape, unfloored(math.log(max(sigma, 1.001 * min_sigma)), self.floor))
        self.raw = nn.Parameter(raw) if scale == "column" else None
        start = torch.full(spec.shape, math.log(math.expm1(max(df - 1, 1e-2))) if learn_df else df)
        self.learn_df = learn_df
        if learn_df:
            self.df = nn.Parameter(start)
        else:
            self.register_buffer("df", start, persistent=False)
        self.register_buffer("offset", per_site(spec.mean, spec), persistent=False)
        self.register_buffer("factor", per_site(spec.scale, spec), persistent=False)
        first = torch.zeros(spec.shape) if mean is None else (mean.float() - self.offset) / self.factor
        self.start_at(torch.stack([first, raw][: self.numbers]))

    def forward(self, given: Given) -> HeavyTailed:
        """t_ν(μ, σ), `(N, *shape)`."""
        numbers = self.parameters_given(given)
        raw = numbers[:, 1] if self.raw is None else self.raw
        df = 1 + nn.functional.softplus(self.df) if self.learn_df else self.df
        return HeavyTailed(numbers[:, 0], floored(raw, self.floor), df)

    def convert(self, x: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor | float]:
        """Raw data → y, and log |dy / dx|."""
        return (x.to(self.factor.dtype) - self.offset) / self.factor, -self.factor.log()

    def restore(self, x: Tensor) -> Tensor:
        """y → raw units."""
        return x * self.factor + self.offset
