"""Who takes part, and which two are compared."""

from __future__ import annotations

from dataclasses import dataclass, replace

from settings import Settings

CONV_STEPS = 80  # in an epoch: convolutions are an order of magnitude slower


@dataclass(frozen=True)
class Entry:
    """One contender: its name in the tables, its script, and what it is told. `peer`: it runs in the peers' environment."""

    name: str
    script: str
    settings: Settings
    peer: bool = False


@dataclass(frozen=True)
class Pair:
    """`one` is compared with `other`: how many times as many images a second, and what is asked of it."""

    one: str
    other: str
    bar: float | None = None


MLP = [
    Entry("vaekit", "ours", Settings()),
    Entry("vaekit, default precision", "ours", Settings(precision="auto")),
    Entry("vaekit, compile", "ours", Settings(compile=True)),
    Entry("vaekit, default precision, compile", "ours", Settings(precision="auto", compile=True)),
    Entry("PyTorch by hand", "lean", Settings()),
    Entry("PyTorch by hand, bfloat16", "lean", Settings(precision="bfloat16")),
    Entry("PyTorch by hand, compile", "lean", Settings(compile=True)),
    Entry("PyTorch by hand, bfloat16, compile", "lean", Settings(precision="bfloat16", compile=True)),
    Entry("JAX by hand", "scan", Settings(), peer=True),
    Entry("JAX by hand, bfloat16", "scan", Settings(precision="bfloat16"), peer=True),
    Entry("pythae", "with_pythae", Settings(), peer=True),
]

CONV = [
    Entry("vaekit", "ours", Settings(nets="conv")),
    Entry("vaekit, default precision", "ours", Settings(nets="conv", precision="auto")),
    Entry("PyTorch by hand", "lean", Settings(nets="conv")),
    Entry("PyTorch by hand, bfloat16", "lean", Settings(nets="conv", precision="bfloat16")),
    Entry("pythae", "with_pythae", Settings(nets="conv"), peer=True),
]

GROUPS = {
    "mlp": MLP,
    "conv": [replace(entry, settings=replace(entry.settings, steps=CONV_STEPS)) for entry in CONV],
}

WITHIN = 1 / 1.05  # at most 1.05 times the time
PAIRS = {
    "mlp": [
        Pair("vaekit", "pythae", 1.5),
        Pair("vaekit, default precision", "pythae", 2.5),
        Pair("vaekit", "PyTorch by hand", WITHIN),
        Pair("vaekit, default precision", "PyTorch by hand, bfloat16", WITHIN),
        Pair("vaekit, compile", "PyTorch by hand, compile", WITHIN),
        Pair("vaekit, default precision, compile", "PyTorch by hand, bfloat16, compile", WITHIN),
        Pair("vaekit", "JAX by hand"),
        Pair("vaekit, default precision", "JAX by hand"),
        Pair("vaekit, default precision, compile", "JAX by hand"),
        Pair("vaekit, default precision", "JAX by hand, bfloat16"),
    ],
    "conv": [
        Pair("vaekit", "pythae"),
        Pair("vaekit, default precision", "pythae", 2.0),
        Pair("vaekit", "PyTorch by hand", WITHIN),
        Pair("vaekit, default precision", "PyTorch by hand, bfloat16", WITHIN),
    ],
}

# Reduced precision counts only where it learns as well: the held-out ELBOs agree within this many nats.
SAME = 0.3
PRECISIONS = {"vaekit, default precision": "vaekit", "vaekit, default precision, compile": "vaekit"}
