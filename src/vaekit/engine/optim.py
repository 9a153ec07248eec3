"""Optimizers by name, and the moving average of the weights."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from vaekit.engine.plan import Plan
from vaekit.errors import ConfigError, near

UNSUITED = {"LBFGS": "it needs a closure", "SparseAdam": "it needs sparse gradients"}
EMA_START = 80  # steps with an update each, so that short trainings have an average too
SWEEP_EVERY = 64  # steps between two sweeps
SPECK = 1e-28  # next to it float32 has no digit left for 1e-36
EMA_EVERY = 8  # steps between updates of the average: 1/8 of the memory traffic for the same time constant


def optimizers() -> dict[str, type[torch.optim.Optimizer]]:
    """Name → class of every optimizer of `torch.optim` that takes plain steps."""
    classes = {name: value for name, value in vars(torch.optim).items() if inspect.isclass(value)}
    return {
        name: value
        for name, value in classes.items()
        if issubclass(value, torch.optim.Optimizer) and value is not torch.optim.Optimizer and name not in UNSUITED
    }


def build_optimizer(plan: Plan, parameters: Iterable[nn.Parameter], device: torch.device) -> torch.optim.Optimizer:
    """The optimizer of the plan, fused where it has a fused kernel for the device.

    Raises `ConfigError` for an unknown name, an unknown option, or a value that the optimizer refuses.
    """
    known = optimizers()
    if plan.optimizer not in known:
        why = UNSUITED.get(plan.optimizer)
        raise ConfigError(
            f"train.optimizer: expected one of {', '.join(sorted(known))}; got '{plan.optimizer}'"
            + (f", which cannot be used: {why}" if why else near(plan.optimizer, known))
        )
    kind = known[plan.optimizer]
    allowed = set(inspect.signature(kind).parameters) - {"params", "lr"}
    for name in plan.optimizer_options:
        if name not in allowed:
            raise ConfigError(
                f"train.optimizer_options.{name}: {plan.optimizer} has no such option{near(name, allowed)}; "
                f"it has {', '.join(sorted(allowed))}"
            )
    options: dict[str, Any] = {
        name: tuple(v) if isinstance(v, list) else v for name, v in plan.optimizer_options.items()
    }
    if "fused" in allowed and "fused" not in options and "foreach" not in options and device.type in ("cpu", "cuda"):
        options["fused"] = True
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    try:
        return kind(trained, **{"lr": plan.lr, **options})
    except (ValueError, TypeError, RuntimeError) as error:
        raise ConfigError(f"train.optimizer_options: {plan.optimizer} refuses them: {error}") from None


@torch.no_grad()
def sweep(optimizer: torch.optim.Optimizer) -> None:
    """Round what has all but vanished from the optimizer's running means (some 1e-35) to zero.

    They decay where a weight gets no gradient (a pixel that is almost always black, a unit that has died). Below 1.2e-38
    each of them costs a processor a hundred cycles a step, for a number that makes no difference to the weight: Adam
    became four times slower within three epochs of MNIST. With the usual decay of 0.9 that takes another `SWEEP_EVERY` steps.
    """
    means = [value for entries in optimizer.state.values() for value in entries.values() if is_mean(value)]
    if means:
        torch._foreach_add_(means, SPECK)
        torch._foreach_sub_(means, SPECK)


def is_mean(value: object) -> bool:
    """Whether an entry of an optimizer's state has a number for every weight."""
    return isinstance(value, Tensor) and value.ndim > 0 and value.dtype == torch.float32


class Average:
    """An exponential moving average of the parameters; buffers (codebooks, statistics) are copied.

    The decay is warmed up as (1 + t) / (10 + t), so that the start is forgotten.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.source = model
        self.model = copy.deepcopy(model).requires_grad_(False)
        self.pairs: tuple[list[Tensor], list[Tensor]] = (list(self.model.parameters()), list(model.parameters()))

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the parameters after `step` steps; after the start once in `EMA_EVERY` steps."""
        every = 1 if step <= EMA_START else EMA_EVERY
        if step % every:
            return
        decay = min(self.decay, (1 + step) / (10 + step)) ** every
        torch._foreach_lerp_(self.pairs[0], self.pairs[1], 1 - decay)

    def current(self) -> nn.Module:
        """The averaged model, with the buffers as they are now."""
        for mine, theirs in zip(self.model.buffers(), self.source.buffers(), strict=True):
            mine.copy_(theirs)
        return self.model
