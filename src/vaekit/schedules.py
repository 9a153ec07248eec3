"""Schedules: pure functions, of the step or of training's progress in [0, 1]."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
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


_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0}


def seconds(text: str) -> float:
    """A duration in words as seconds.

    >>> seconds("10m"), seconds("1h30m"), seconds("45"), seconds("2m20s")
    (600.0, 5400.0, 45.0, 140.0)
    """
    text = text.strip().replace(" ", "")
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    parts = re.findall(r"(\d+(?:\.\d+)?)([hms])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise ValueError(f"a duration such as 90s, 10m or 1h30m is expected, got '{text}'")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)


@dataclass(frozen=True)
class Interval:
    """How often: after a number of steps, or of seconds."""

    steps: int | None = None
    seconds: float | None = None

    @classmethod
    def parse(cls, text: str) -> Interval:
        """
        >>> Interval.parse("500 steps"), Interval.parse("30s")
        (Interval(steps=500, seconds=None), Interval(steps=None, seconds=30.0))
        """
        if match := re.fullmatch(r"\s*(\d+)\s*steps?\s*", text):
            return cls(steps=int(match[1]))
        return cls(seconds=seconds(text))

    def due(self, steps: int, elapsed: float) -> bool:
        """Whether it is time, `steps` and `elapsed` seconds after the last time."""
        return steps >= self.steps if self.steps is not None else elapsed >= (self.seconds or 0.0)
