"""The training loop: flat, without a host synchronisation per step, and resumable to the bit."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from vaekit.core import Objective
from vaekit.engine.plan import Plan
from vaekit.engine.runtime import Interruption, Runtime, interruptible, keep_pages, seeded
from vaekit.engine.training import Training
from vaekit.engine.validate import Splits
from vaekit.errors import TrainingError
from vaekit.model import VAE
from vaekit.schedules import Interval

REPORT_SECONDS = 0.25  # between progress events


@dataclass(frozen=True)
class Progress:
    """How far training is; sent a few times a second."""

    epoch: int
    step: int
    fraction: float  # of the planned training, in [0, 1]
    images_per_second: float
    seconds_left: float
    elbo_nats: float  # of the training batches of this epoch so far


@dataclass(frozen=True)
class EpochEnd:
    """The line of the log that was just written."""

    record: dict[str, Any]
    fraction: float  # of the planned training that is done, in [0, 1]


Event = Progress | EpochEnd
Hook = Callable[[Event], None]


@dataclass(frozen=True)
class Fitted:
    """What training left: the model to use (averaged, best on held-out data, float32, in eval mode), and how it went.

    `reason` is `finished`, `time`, `patience` or `interrupted`; an interrupted run can be resumed.
    """

    model: VAE
    history: list[dict[str, Any]]
    reason: str
    steps: int
    seconds: float
    skipped: int


def fit(
    model: VAE,
    objective: Objective,
    data: Splits,
    plan: Plan,
    *,
    directory: Path | None = None,
    hooks: Sequence[Hook] = (),
    resume: bool = False,
    started: float | None = None,
) -> Fitted:
    """Train `model` on `data.train`, select on `data.validation`, and return the best.

    With a `directory`, checkpoints, best weights and a JSON line per epoch are written there, and `resume` goes on from them:
    training in parts gives the same bits as training in one go (on a CPU). Hooks only observe. `started` is the
    `time.perf_counter()` from which a wall-clock budget counts; by default, now.

    Raises:
        TrainingError: too many non-finite losses in a row, or out of memory.
        RunError: a checkpoint cannot be read or written.
    """
    keep_pages()
    runtime = Runtime.choose(plan.device, plan.precision)
    training = Training(model, objective, data, plan, runtime, directory, started)
    if resume:
        training.restore()
    with seeded(None if resume else plan.seed, runtime.device), interruptible() as interruption:
        if resume:
            training.restore_random_states()
        else:
            training.write_state()  # a run can be resumed from its first moment
        try:
            training.rehearse()
            reason = run(training, interruption, hooks)
        except torch.OutOfMemoryError as error:
            raise out_of_memory(plan, error) from None
        except RuntimeError as error:
            if "alloc" not in str(error):
                raise
            raise out_of_memory(plan, error) from None
        training.check_learned()
        training.save()
    state = training.state
    return Fitted(training.best_model(), training.lines, reason, state.step, training.elapsed, state.skipped)


def run(training: Training, interruption: Interruption, hooks: Sequence[Hook]) -> str:
    """Epochs until the plan is fulfilled; returns why it ended."""
    interval = Interval.parse(training.plan.checkpoint)
    saved_step, saved_at = training.state.step, time.perf_counter()
    reporter = Reporter(training, hooks)
    while not (reason := training.over()):
        for batch in training.rest_of_epoch():
            training.advance(batch)
            if not training.between_updates:
                continue
            reporter()
            if interruption.requested:
                return "interrupted"
            if training.out_of_time() or training.out_of_steps():
                break
            if interval.due(training.state.step - saved_step, time.perf_counter() - saved_at):
                training.save()
                saved_step, saved_at = training.state.step, time.perf_counter()
        reporter.epoch_end(training.end_epoch())
    return reason


class Reporter:
    """Sends progress a few times a second: reading the accumulated bound is the only wait for the device."""

    def __init__(self, training: Training, hooks: Sequence[Hook]) -> None:
        self.training = training
        self.hooks = hooks
        self.last = time.perf_counter()
        self.images = training.state.images

    def __call__(self) -> None:
        now = time.perf_counter()
        if now - self.last < REPORT_SECONDS:
            return
        training = self.training
        training.check_skipped()
        if self.hooks:
            fraction = training.progress()
            event = Progress(
                epoch=training.state.epoch + 1,
                step=training.state.step,
                fraction=fraction,
                images_per_second=(training.state.images - self.images) / (now - self.last),
                seconds_left=training.seconds_left(fraction),
                elbo_nats=training.meter.means().get("elbo_nats", float("nan")),
            )
            self.send(event)
        self.last, self.images = now, training.state.images

    def epoch_end(self, record: dict[str, Any]) -> None:
        """Tell the hooks of a finished epoch."""
        self.send(EpochEnd(record, self.training.progress()))

    def send(self, event: Event) -> None:
        for hook in self.hooks:
            hook(event)


def out_of_memory(plan: Plan, error: Exception) -> TrainingError:
    """What to do about it, in the user's terms."""
    return TrainingError(
        f"out of memory with train.batch_size {plan.batch_size} ({str(error).splitlines()[0][:120]}).\n"
        f"  fix: --set train.batch_size={max(1, plan.batch_size // 2)} --set train.accumulate={plan.accumulate * 2} "
        "(the same mathematics in half the memory), or a smaller network"
    )


__all__ = ["EpochEnd", "Event", "Fitted", "Hook", "Progress", "fit"]
