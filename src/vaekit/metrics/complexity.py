"""How many bits an image takes for being intricate, whatever it shows: a small lossless coder that knows nothing of data."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaekit.core import Batch
from vaekit.errors import DataError

FLOOR = 0.02  # probability that is spread over all levels, so that no value costs much more than 2 + log₂ K bits

Levels = NDArray[np.int64]
Numbers = NDArray[np.float64]


def code_lengths(raw: Batch, levels: int | None) -> Tensor:
    """Bits of each image, (B, C, H, W) levels → (B,); channels are coded one after the other, each by itself.

    Raises `DataError` for data that is not images with levels.
    """
    x = raw.x
    if not isinstance(x, Tensor) or x.ndim != 4 or levels is None:
        raise DataError(
            "the scores 'complexity' and 'code_length' need images with levels (8 bits), got other data.\n"
            "  fix: another score (--score elbo)"
        )
    planes = x.cpu().long().numpy()
    bits = sum((plane_bits(planes[:, channel], levels) for channel in range(x.shape[1])), np.zeros(len(x)))
    return torch.from_numpy(bits)


def plane_bits(x: Levels, levels: int) -> Numbers:
    """The ideal code length of grey images under an adaptive model, (B, H, W) → (B,) bits.

    Pixels come in reading order. Each is predicted from its neighbours (the median edge detector of LOCO-I); its residual has
    a two-sided geometric distribution on 0 ... K − 1, whose width is the mean residual so far where the gradient around was
    alike. So the coder learns while it reads an image, and needs neither training nor a file format.

    References:
        Weinberger, Seroussi, Sapiro (2000), The LOCO-I lossless image compression algorithm.
        Serrà et al. (2020), Input complexity and out-of-distribution detection with likelihood-based generative models.
    """
    n, height, width = x.shape
    padded = np.zeros((n, height + 1, width + 2), np.int64)  # black above, left and right
    padded[:, 1:, 1:-1] = x
    contexts = (3 * levels).bit_length() + 1
    total, count = np.ones((n, contexts)), np.ones((n, contexts))  # of |residual|, in each context
    rows, bits = np.arange(n), np.zeros(n)
    for i in range(1, height + 1):
        for j in range(1, width + 1):
            predicted, context = predict(padded, i, j)
            residual = np.abs(padded[:, i, j] - predicted)
            scale = total[rows, context] / count[rows, context]
            bits -= np.log2(probability(residual, predicted, scale, levels))
            total[rows, context] += residual
            count[rows, context] += 1
    return bits


def predict(x: Levels, i: int, j: int) -> tuple[Levels, Levels]:
    """A pixel's prediction from those before it, and its context: the octave of the gradients around it, (B,) each."""
    west, north, corner, east = x[:, i, j - 1], x[:, i - 1, j], x[:, i - 1, j - 1], x[:, i - 1, j + 1]
    low, high = np.minimum(west, north), np.maximum(west, north)
    predicted = np.where(corner >= high, low, np.where(corner <= low, high, west + north - corner))
    gradient = np.abs(east - north) + np.abs(north - corner) + np.abs(corner - west)
    octave = np.frexp(gradient.astype(np.float64))[1].astype(np.int64)  # 0 for 0, else ⌊log₂⌋ + 1
    return predicted, octave


def probability(residual: Levels, predicted: Levels, scale: Numbers, levels: int) -> Numbers:
    """P(x) = (1 − ε) θ^|x − x̂| / Z + ε / K, E|x − x̂| = `scale` without the limits 0 and K − 1, (B,)."""
    theta = (np.sqrt(1 + scale * scale) - 1) / scale
    log_theta: Any = np.log(theta)
    normalizer = (1 + theta - np.exp((predicted + 1) * log_theta) - np.exp((levels - predicted) * log_theta)) / (
        1 - theta
    )
    found: Numbers = (1 - FLOOR) * np.exp(residual * log_theta) / normalizer + FLOOR / levels
    return found
