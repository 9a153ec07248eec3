"""How to train: everything but the model, the objective and the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import AfterValidator

from vaekit.schedules import Interval, Schedule, seconds


def _duration(text: str | None) -> str | None:
    if text is not None and seconds(text) <= 0:
        raise ValueError("a duration above zero is expected")
    return text


def _interval(text: str) -> str:
    interval = Interval.parse(text)
    if not (interval.steps or interval.seconds):
        raise ValueError("an interval above zero is expected, such as 30s or 500 steps")
    return text


@dataclass(frozen=True)
class Plan:
    """The `train` section of a configuration.

    Training ends after `epochs`, after `steps` updates, or when `time` (counted from the start of the program) is used up,
    whichever comes first; schedules fit to it. `ema` is the decay per step of an exponential moving average of the weights
    (0: none), and it is the averaged model that is validated and kept. `patience` counts validations without a better
    held-out ELBO (0: never stop early). `precision: auto` trains in bfloat16 where the hardware gains by it; stored weights
    and evaluation are float32.
    """

    epochs: Annotated[int, Gt(0)] | None = 20
    steps: Annotated[int, Gt(0)] | None = None
    time: Annotated[str | None, AfterValidator(_duration)] = None
    batch_size: Annotated[int, Gt(0)] = 128
    accumulate: Annotated[int, Gt(0)] = 1
    optimizer: str = "AdamW"
    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    lr: Annotated[float, Gt(0)] = 2e-3
    schedule: Schedule = "cosine"
    lr_warmup: Annotated[int, Ge(0)] = 0
    clip: Annotated[float, Gt(0)] | None = None
    ema: Annotated[float, Ge(0), Lt(1)] = 0.0
    validate_every: Annotated[int, Ge(0)] = 1
    patience: Annotated[int, Ge(0)] = 0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    device: str = "auto"
    compile: bool = False
    seed: Annotated[int, Ge(0)] = 0
    checkpoint: Annotated[str, AfterValidator(_interval)] = "30s"
    max_skipped: Annotated[int, Ge(0)] = 20

    @property
    def budget(self) -> float | None:
        """The wall-clock budget in seconds."""
        return None if self.time is None else seconds(self.time)
