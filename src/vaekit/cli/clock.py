"""When this process began: a wall-clock budget counts from there, so that start-up and imports are in it."""

from __future__ import annotations

import os
import time
from pathlib import Path

IMPORTED = time.perf_counter()


def process_start() -> float:
    """The `time.perf_counter()` at which the process began; where the system does not say, of this module's import."""
    try:
        # Field 22 of stat, after the parenthesised name: start in clock ticks since boot.
        ticks = int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        return IMPORTED
    return min(IMPORTED, time.perf_counter() - max(age, 0.0))
