"""Where and in what precision: device, autocast, random states, interruption."""

from __future__ import annotations

import ctypes
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import FrameType

import torch

from vaekit.errors import ConfigError


@dataclass(frozen=True)
class Runtime:
    """The device, and the type of the networks' products (None: as the weights are)."""

    device: torch.device
    autocast_dtype: torch.dtype | None = None

    @classmethod
    def choose(cls, device: str = "auto", precision: str = "auto") -> Runtime:
        """Resolve `auto`: CUDA, else MPS, else CPU; bfloat16 where the hardware has it natively."""
        chosen = torch.device(best_device() if device == "auto" else checked_device(device))
        half = precision == "bfloat16" or (precision == "auto" and gains_by_bfloat16(chosen))
        return cls(chosen, torch.bfloat16 if half else None)

    def autocast(self) -> AbstractContextManager[object]:
        """The context in which networks run while training."""
        if self.autocast_dtype is None:
            return nullcontext()
        return torch.autocast(self.device.type, self.autocast_dtype)

    @property
    def precision(self) -> str:
        """The resolved precision, as the plan spells it."""
        return "float32" if self.autocast_dtype is None else "bfloat16"


def best_device() -> str:
    """The fastest kind of device there is."""
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def checked_device(name: str) -> str:
    """`name`, if this machine has it."""
    try:
        if torch.device(name).type == "meta":
            raise RuntimeError("it keeps no numbers")
        torch.empty(0, device=name)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"train.device: '{name}' cannot be used here ({str(error).splitlines()[0]}).\n"
            f"  fix: device: auto (here that is '{best_device()}')"
        ) from None
    return name


def gains_by_bfloat16(device: torch.device) -> bool:
    """Whether products in bfloat16 are native, so that training in it is faster."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device)[0] >= 8
    if device.type == "cpu":
        features = torch.backends.cpu.get_cpu_capability()
        return "AVX512" in features and bool(torch.cpu._is_avx512_bf16_supported())
    return False


# mallopt's numbers for these options (malloc.h of glibc), and what they are set to, in bytes.
_KEPT = {
    -3: 32 * 2**20,
    -1: 2**30,
    -2: 64 * 2**20,
}  # mmap threshold (the largest there may be), trim threshold, top pad


def keep_pages() -> None:
    """From now on, let the C library keep freed memory instead of handing it back to the system after every step.

    Above its thresholds, which are low at first, glibc gives the pages of a freed tensor back, and faults them in anew for
    the next one, which can cost half as much as the products themselves. Other C libraries have no such call.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform.startswith("linux") else None
    if mallopt is not None:
        for option, size in _KEPT.items():
            mallopt(option, size)


@contextmanager
def seeded(seed: int | None, device: torch.device | None = None) -> Iterator[None]:
    """Torch's random states forked for the block, and restored after it; `seed` None leaves them as they stand."""
    device = device or torch.device("cpu")
    devices = [device.index or 0] if device.type in ("cuda", "mps") else []
    with torch.random.fork_rng(devices=devices, device_type=device.type if devices else "cuda"):
        if seed is not None:
            torch.manual_seed(seed)
        yield


class Interruption:
    """Whether the user asked to stop (Ctrl-C, or a polite kill). A second request stops at once."""

    def __init__(self) -> None:
        self.requested = False

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True


@contextmanager
def interruptible() -> Iterator[Interruption]:
    """SIGINT and SIGTERM are noted, not raised, for the block: a step is never torn apart. Main thread only."""
    interruption = Interruption()
    if threading.current_thread() is not threading.main_thread():
        yield interruption
        return
    before = {number: signal.signal(number, interruption) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield interruption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
