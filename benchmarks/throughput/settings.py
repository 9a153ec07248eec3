"""What a contender is told, and the sizes that all of them share. Imports nothing that is measured."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass

PIXELS = 784
HIDDEN = 512
LATENT = 16
BATCH = 128
RATE = 1e-3


@dataclass(frozen=True)
class Settings:
    """One contender's task. `data` is the folder of MNIST's IDX files; empty: pixels made up from a seed."""

    nets: str = "mlp"  # or "conv"
    precision: str = "float32"  # or "bfloat16"; vaekit takes "auto" too
    compile: bool = False
    epochs: int = 10
    steps: int = 468  # of a batch each, in one epoch
    data: str = ""
    seed: int = 0

    @property
    def images(self) -> int:
        """Images in an epoch: whole batches, so that all contenders do the same steps."""
        return self.steps * BATCH

    def to_json(self) -> str:
        """As an argument of a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls) -> Settings:
        """From this process's first argument."""
        return cls(**json.loads(sys.argv[1]))
