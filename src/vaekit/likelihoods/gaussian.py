"""Continuous data, and data with levels made continuous."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from annotated_types import Gt
from torch import Generator, Tensor, nn

from vaekit.core import DataSpec, Given
from vaekit.distributions import Gaussian as Normal
from vaekit.errors import ConfigError
from vaekit.likelihoods.base import Decoded, floored, per_site, unfloored


class Gaussian(Decoded):
    """p(x | z) = Π N(y; μ(z), σ²) |dy / dx|, in units y: standardized data, or K levels spread over [−1, 1].

    The log-determinant of the change of units is part of every figure: in nats, and in bits per dimension, figures do not
    depend on how the data was scaled. With `dequantize`, a level k becomes k + u, u uniform on [0, 1), so that the bound is
    one on the log-probability of the levels; without, a density scores levels, which can grow without limit as σ shrinks.

    Args:
        scale: σ `fixed`; `shared`, one learned number; or `site`, predicted for every site.
        sigma: the fixed σ, or where a learned one starts, in units of y.
        min_sigma: what a learned σ cannot go below, in units of y: densities have no upper limit of their own.
        dequantize: add uniform noise to levels; None: wherever the data has levels.
        spec: what the data is.
        features: the decoder's output shape.
        decoder: the network from the latent state to features.
        mean: the mean of the raw training data, `(*shape)`: the first outputs are near it.

    Raises:
        ConfigError: `dequantize` for continuous data; `sigma` not above `min_sigma` where it is learned.

    References:
        Theis, van den Oord, Bethge (2016), A note on the evaluation of generative models, section 3.1 (dequantization).
        Rybkin, Daniilidis, Levine (2021), Simple and effective VAE training with calibrated decoders (shared σ).
    """

    raw: Tensor  # what log σ is made of, where it is not predicted

    def __init__(
        self,
        scale: Literal["fixed", "shared", "site"] = "shared",
        sigma: Annotated[float, Gt(0)] = 0.5,
        min_sigma: Annotated[float, Gt(0)] = 1e-3,
        dequantize: bool | None = None,
        *,
        spec: DataSpec,
        features: tuple[int, ...],
        decoder: nn.Module,
        mean: Tensor | None = None,
    ) -> None:
        super().__init__(2 if scale == "site" else 1, spec, features, decoder)
        if dequantize and spec.levels is None:
            raise ConfigError("dequantize needs data with levels, got continuous data.\n  fix: leave dequantize out")
        if scale != "fixed" and sigma <= min_sigma:
            raise ConfigError(f"expected sigma above min_sigma, {min_sigma}, got {sigma}.\n  fix: raise sigma")
        self.units = _Units(spec, dequantize is not False and spec.levels is not None)
        self.scale = scale
        self.floor = math.log(min_sigma)
        raw = math.log(sigma) if scale == "fixed" else unfloored(math.log(sigma), self.floor)
        if scale == "shared":
            self.raw = nn.Parameter(torch.tensor(raw))
        else:
            self.register_buffer("raw", torch.tensor(raw), persistent=False)
        start = torch.zeros(spec.shape) if mean is None else self.units.centre(mean)
        self.start_at(torch.stack([start, torch.full_like(start, raw)][: self.numbers]))

    def forward(self, given: Given) -> Normal:
        """N(μ, σ²), `(N, *shape)`."""
        numbers = self.parameters_given(given)
        if self.scale == "fixed":
            return Normal(numbers[:, 0], self.raw)
        return Normal(numbers[:, 0], floored(numbers[:, 1] if self.scale == "site" else self.raw, self.floor))

    def convert(self, x: Tensor, generator: Generator | None) -> tuple[Tensor, Tensor | float]:
        """Raw data → y, and log |dy / dx|."""
        return self.units.convert(x, generator), self.units.log_det

    def restore(self, x: Tensor) -> Tensor:
        """y → raw units; levels as floats within 0 … K−1."""
        return self.units.restore(x)


class _Units(nn.Module):
    """Raw data ↔ y."""

    offset: Tensor
    factor: Tensor
    log_det: Tensor

    def __init__(self, spec: DataSpec, dequantize: bool) -> None:
        super().__init__()
        self.levels = spec.levels
        self.dequantize = dequantize
        if spec.levels is None:
            offset, factor = per_site(spec.mean, spec), per_site(spec.scale, spec)
        else:
            # Bins [k, k+1) of K levels fill [−1, 1]; without noise the levels 0 … K−1 do.
            width = spec.levels if dequantize else spec.levels - 1
            offset, factor = torch.tensor(width / 2), torch.tensor(width / 2)
        self.register_buffer("offset", offset, persistent=False)
        self.register_buffer("factor", factor, persistent=False)
        self.register_buffer("log_det", -factor.log(), persistent=False)

    def convert(self, x: Tensor, generator: Generator | None) -> Tensor:
        x = x.to(self.factor.dtype)
        if self.dequantize:
            x = x + torch.rand(x.shape, generator=generator, device=x.device, dtype=x.dtype)
        return (x - self.offset) / self.factor

    def centre(self, x: Tensor) -> Tensor:
        """Where an average of raw data lies in y."""
        return (x.float() + (0.5 if self.dequantize else 0.0) - self.offset) / self.factor

    def restore(self, y: Tensor) -> Tensor:
        x = y * self.factor + self.offset - (0.5 if self.dequantize else 0.0)
        return x if self.levels is None else x.clamp(0, self.levels - 1)
