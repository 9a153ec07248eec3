"""Random numbers that belong to a row of the data, not to the batch it came in."""

from __future__ import annotations

import hashlib

import torch


def seed_of(*numbers: int) -> int:
    """A seed from whole numbers; different numbers give unrelated seeds.

    >>> seed_of(0, 1) == seed_of(0, 1), seed_of(0, 1) == seed_of(1, 0)
    (True, False)
    """
    digest = hashlib.blake2b(",".join(map(str, numbers)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def reseed(*numbers: int, device: torch.device) -> None:
    """Seed torch's own noise on the CPU and on `device` with `seed_of(*numbers)`.

    `torch.manual_seed` does that for all devices there could be, and takes longer than a small model's pass.
    """
    seed = seed_of(*numbers)
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)
