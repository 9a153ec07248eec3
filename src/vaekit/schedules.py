"""Schedules: pure functions, of the step or of training's progress in [0, 1]."""

from __future__ import annotations

import math
from typing import Literal

Schedule = Literal["constant", "cosine", "step"]


def ramp(step: int, length: int) -> float:
    """0 → 1 linearly over `length` steps, then 1; the first step already counts.

    >>> [ramp(step, 4) for step in (0, 1, 3, 9)], ramp(0, 0)
    ([0.25, 0.5, 1.0, 1.0], 1.0)
    """
    return min(1.0, (step + 1) / length) if length else 1.0


def decay(kind: Schedule, progress: float, floor: float = 0.0) -> float:
    """The factor on the learning rate at `progress` in [0, 1]; it ends at `floor`.

    `cosine` falls from 1 to `floor`; `step` is 1, then 0.1 from half way on, then 0.01 for the last quarter.

    >>> [round(decay("cosine", progress), 3) for progress in (0, 0.5, 1)]
    [1.0, 0.5, 0.0]
    >>> [decay("step", progress) for progress in (0.4, 0.6, 0.8)]
    [1.0, 0.1, 0.01]
    """
    progress = min(1.0, max(0.0, progress))
    if kind == "cosine":
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * progress))
    if kind == "step":
        return max(floor, 1.0 if progress < 0.5 else 0.1 if progress < 0.75 else 0.01)
    return 1.0
