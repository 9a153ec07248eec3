"""How sure a score is: p-values against calibration rows, and the control of false discoveries among many of them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor

from vaekit.errors import ConfigError, DataError


def p_values(scores: Tensor, calibration: Tensor) -> Tensor:
    """Split-conformal p-values: (1 + #{calibration ≥ score}) / (m + 1), (n,) and (m,) → (n,), in double precision.

    High scores are abnormal. If a row is exchangeable with the calibration rows, which the model must not have been trained
    on, P(p ≤ α) ≤ α for every α, whatever the model and the data; and equal to α up to 1 / (m + 1) where no scores tie.

    Raises:
        DataError: no calibration rows, or scores that are NaN (infinite ones are fine: they are beyond all others).

    References:
        Vovk, Gammerman, Shafer (2005), Algorithmic learning in a random world.
        Bates, Candès, Lei, Romano, Sesia (2023), Testing for outliers with conformal p-values.
    """
    if not len(calibration):
        raise DataError("calibration: expected at least one row, got none.\n  fix: hold out some normal rows")
    if scores.isnan().any() or calibration.isnan().any():
        raise DataError("expected scores that are numbers, got NaN")
    ranked = calibration.double().sort().values
    above = len(ranked) - torch.searchsorted(ranked, scores.double().contiguous(), side="left")
    return (1 + above).double() / (len(ranked) + 1)


def discoveries(p: Tensor, level: float) -> Tensor:
    """Which of n hypotheses are rejected at a false discovery rate `level`, (n,) → (n,) of booleans.

    Benjamini and Hochberg: reject the k smallest p-values, k the largest with p_(k) ≤ level · k / n. The expected share of
    false ones among the rejected is at most `level`, for conformal p-values of one calibration set too.

    Raises:
        ConfigError: a level outside (0, 1).

    References:
        Benjamini, Hochberg (1995), Controlling the false discovery rate.
        Bates et al. (2023), Testing for outliers with conformal p-values, theorem 2 (positive dependence).
    """
    return p.double() <= cutoff([p], level)


def cutoff(p: Iterable[Tensor], level: float) -> float:
    """The largest p-value that the same procedure rejects; −1 where it rejects none. The p-values may come in pieces.

    Only distinct values are kept: conformal ones take as many as there are calibration rows.
    """
    check_level("level", level)
    counts: dict[float, int] = {}
    for piece in p:
        values, times = torch.unique(piece.double(), return_counts=True)
        for value, count in zip(values.tolist(), times.tolist(), strict=True):
            counts[value] = counts.get(value, 0) + count
    total, below, found = sum(counts.values()), 0, -1.0
    for value in sorted(counts):
        below += counts[value]
        if value <= level * below / total:
            found = value
    return found


def threshold(calibration: Tensor, level: float) -> float:
    """The score above which at most a share `level` of normal rows is expected: the conformal quantile, in data of m rows.

    It is the ⌈(m + 1)(1 − level)⌉-th smallest score; infinite where m is too small for the level. A score above it has a
    p-value of at most `level`.

    Raises:
        ConfigError: a level outside (0, 1). DataError: no calibration rows.
    """
    check_level("level", level)
    if not len(calibration):
        raise DataError("calibration: expected at least one row, got none.\n  fix: hold out some normal rows")
    rank = math.ceil((len(calibration) + 1) * (1 - level) - 1e-9)
    return math.inf if rank > len(calibration) else float(calibration.double().sort().values[rank - 1])


def check_level(name: str, level: float) -> None:
    """Raise `ConfigError` for a level outside (0, 1)."""
    if not 0 < level < 1:
        raise ConfigError(f"{name}: expected a number between 0 and 1, got {level!r}")
