"""The state of a training run, and what happens to it: one step, the end of an epoch, saving and restoring."""

from __future__ import annotations

import copy
import json
import math
import os
import time
import warnings
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vaekit.core import Batch, Objective
from vaekit.engine import checkpoint
from vaekit.engine.guard import Guard, diagnosis
from vaekit.engine.meter import Meter
from vaekit.engine.optim import SWEEP_EVERY, Average, build_optimizer, sweep
from vaekit.engine.plan import Plan
from vaekit.engine.runtime import Runtime
from vaekit.engine.step import Step
from vaekit.engine.validate import HeldOut, Splits, held_out
from vaekit.errors import RunError
from vaekit.model import VAE
from vaekit.schedules import decay, ramp

LAST, BEST, LOG = "last.safetensors", "best.safetensors", "log.jsonl"


@dataclass
class State:
    """All that a checkpoint must hold besides tensors: where training stands."""

    step: int = 0  # optimizer steps taken
    epoch: int = 0  # epochs completed
    position: int = 0  # batches of this epoch taken
    images: int = 0  # examples seen in all
    seconds: float = 0.0  # trained in earlier sessions
    best: float = -math.inf  # held-out ELBO, nats
    best_step: int = 0
    stale: int = 0  # validations since the best
    skipped: int = 0  # steps without an update, for a non-finite loss
    log_bytes: int = 0  # length of the log that belongs to this state


class Training:
    """Model, optimizer, average and state of one run, in memory or in a directory."""

    def __init__(
        self,
        model: VAE,
        objective: Objective,
        data: Splits,
        plan: Plan,
        runtime: Runtime,
        directory: Path | None,
        started: float | None,
    ) -> None:
        self.plan, self.data, self.runtime, self.directory = plan, data, runtime, directory
        # Convolutions are faster with their channels last; for all other layers this changes nothing.
        self.model = model.to(runtime.device, memory_format=torch.channels_last).train()  # type: ignore[call-overload]
        self.objective = objective
        step = Step(self.model, objective, runtime)
        self.step: nn.Module = torch.compile(step) if plan.compile else step  # type: ignore[assignment]
        self.optimizer = build_optimizer(plan, self.model.parameters(), runtime.device)
        self.average = Average(self.model, plan.ema) if plan.ema else None
        self.guard = Guard(self.model, self.optimizer, plan, runtime)
        self.state = State()
        self.started = time.perf_counter() if started is None else started
        self.closing = 0.0  # seconds that the end of training will take: a validation and a save
        self.saving = 0.0  # seconds that the last save took
        self.meter = Meter()
        self.batch_size = min(plan.batch_size, len(data.train))
        self.accumulate = self.possible_accumulation()
        self.best: dict[str, Tensor] | None = None  # weights, where there is no directory
        self.lines: list[dict[str, Any]] = []
        self.epoch_mark = (0, 0.0)  # images and seconds at the start of the epoch
        self.last_batch = Batch(torch.empty(0))
        self.random: dict[str, Tensor] = {}

    # --- time and progress -------------------------------------------------------------------------------------------

    @property
    def elapsed(self) -> float:
        """Seconds of training, earlier sessions and start-up included."""
        return self.state.seconds + time.perf_counter() - self.started

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps in an epoch; a last, smaller batch is left for another epoch."""
        return len(self.data.train) // self.batch_size // self.accumulate

    def possible_accumulation(self) -> int:
        """Batches an update: as planned, or as many as an epoch has."""
        batches = len(self.data.train) // self.batch_size
        if self.plan.accumulate > batches:
            warnings.warn(
                f"train.accumulate is {self.plan.accumulate}, but an epoch has only {batches} batches of "
                f"{self.batch_size}: every update takes them all",
                stacklevel=2,
            )
        return min(self.plan.accumulate, batches)

    def progress(self) -> float:
        """The planned training that is done, in [0, 1]: of the steps or of the time, whichever is further."""
        done = 0.0
        if self.plan.epochs is not None:
            done = self.state.step / (self.plan.epochs * self.steps_per_epoch)
        if self.plan.steps is not None:
            done = max(done, self.state.step / self.plan.steps)
        if self.plan.budget is not None:
            done = max(done, self.elapsed / max(1e-9, self.plan.budget - self.closing))
        return min(1.0, done)

    def seconds_left(self, fraction: float) -> float:
        """An estimate from the pace so far."""
        return self.elapsed * (1 - fraction) / max(fraction, 1e-9)

    def rehearse(self) -> None:
        """Time the end of training on a few rows, so that a wall-clock budget leaves room for it from the start."""
        rows, few = self.data.validation, 200
        if self.plan.budget is None or not (len(rows) and self.plan.validate_every):
            return
        begin = time.perf_counter()
        held_out(self.current_model(), rows, self.runtime, limit=few)
        self.closing = (time.perf_counter() - begin) * max(1.0, len(rows) / few)

    def out_of_time(self) -> bool:
        """Whether the wall-clock budget is used up, but for what the end will take."""
        return self.plan.budget is not None and self.elapsed >= self.plan.budget - self.closing

    def out_of_steps(self) -> bool:
        """Whether the planned updates are made."""
        return self.plan.steps is not None and self.state.step >= self.plan.steps

    def over(self) -> str:
        """Why training has ended, or the empty string."""
        if self.out_of_steps() or (self.plan.epochs is not None and self.state.epoch >= self.plan.epochs):
            return "finished"
        if self.out_of_time():
            return "time"
        if self.plan.patience and self.state.stale >= self.plan.patience:
            return "patience"
        return ""

    # --- one step ----------------------------------------------------------------------------------------------------

    def rest_of_epoch(self) -> Iterator[Batch]:
        """The batches of this epoch that were not taken yet, in an order that depends on seed and epoch alone."""
        self.epoch_mark = (self.state.images, self.elapsed)
        shuffle = torch.Generator().manual_seed(self.plan.seed * 1_000_003 + self.state.epoch)
        order = torch.randperm(len(self.data.train), generator=shuffle)
        whole = self.steps_per_epoch * self.accumulate * self.batch_size
        rest = order[self.state.position * self.batch_size : whole]
        return self.data.train.batches(rest, self.batch_size) if len(rest) else iter(())

    def advance(self, batch: Batch) -> None:
        """Forward and backward on one batch; every `accumulate`-th time an update of the weights."""
        state, accumulate = self.state, self.accumulate
        loss, terms = self.step(batch, state.step)
        (loss / accumulate if accumulate > 1 else loss).backward()
        self.guard.see(loss)
        self.meter.add(terms)
        self.last_batch = batch
        state.position += 1
        state.images += self.batch_size
        if self.between_updates:
            self.update()

    @property
    def between_updates(self) -> bool:
        """Whether no gradient is in flight: the only places where training may be saved or left."""
        return self.state.position % self.accumulate == 0

    def update(self) -> None:
        """One step of the optimizer at the scheduled rate, unless the guard holds it back; then of the average."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate()
        self.guard.step()
        self.state.step += 1
        if self.state.step % SWEEP_EVERY == 0:
            sweep(self.optimizer)
        if self.average is not None:
            self.average.update(self.state.step)

    def rate(self) -> float:
        """The learning rate of the next update."""
        return self.plan.lr * ramp(self.state.step, self.plan.lr_warmup) * decay(self.plan.schedule, self.progress())

    def check_skipped(self) -> None:
        """Raise `TrainingError` after too many skipped updates in a row. Waits for the device: call it rarely."""
        if int(self.guard.in_a_row) > self.plan.max_skipped:
            raise diagnosis(self.model, self.last_batch, int(self.guard.in_a_row), self.plan)

    def check_learned(self) -> None:
        """Raise `TrainingError` if there was no update at all, or if the weights are ruined."""
        ruined = not all(bool(torch.isfinite(value).all()) for value in self.model.parameters())
        if ruined or (self.state.step and int(self.guard.skipped) >= self.state.step):
            raise diagnosis(self.model, self.last_batch, int(self.guard.in_a_row), self.plan)

    # --- the end of an epoch -----------------------------------------------------------------------------------------

    def end_epoch(self) -> dict[str, Any]:
        """Validate if it is time to, keep the best weights, write the epoch's line; returns the line."""
        self.check_skipped()
        state, (images, seconds) = self.state, self.epoch_mark
        pace = (state.images - images) / max(1e-9, self.elapsed - seconds)
        state.epoch, state.position, state.skipped = state.epoch + 1, 0, int(self.guard.skipped)
        found = self.validate() if self.validation_due() else None
        line = {
            "epoch": state.epoch,
            "step": state.step,
            "seconds": round(self.elapsed, 3),
            "images_per_second": round(pace, 1),
            "lr": self.rate(),
            "beta": self.effective_beta(),
            "train": self.meter.means(),
            "validation": asdict(found) if found else None,
            "best_elbo_nats": state.best if math.isfinite(state.best) else None,
            "skipped": state.skipped,
        }
        self.meter.clear()
        self.write_line(line)
        return line

    def validation_due(self) -> bool:
        """Every `validate_every` epochs and at the end, if there is held-out data."""
        every = self.plan.validate_every
        return bool(every and len(self.data.validation) and (self.state.epoch % every == 0 or self.over()))

    def validate(self) -> HeldOut:
        """The held-out bound; better than ever: those weights are kept."""
        begin = time.perf_counter()
        model = self.current_model()
        found = held_out(model, self.data.validation, self.runtime)
        state = self.state
        if found.elbo_nats > state.best:
            state.best, state.best_step, state.stale = found.elbo_nats, state.step, 0
            self.keep_best(model)
        else:
            state.stale += 1
        self.closing = 1.2 * (time.perf_counter() - begin) + self.saving
        return found

    def effective_beta(self) -> float | None:
        """The weight that the KL has now, where the objective has one."""
        weight = getattr(self.objective, "weight", None)
        return float(weight(self.state.step)) if weight is not None else None

    def current_model(self) -> VAE:
        """The averaged model where there is an average, else the model as it is."""
        return self.average.current() if self.average is not None else self.model  # type: ignore[return-value]

    def write_line(self, line: dict[str, Any]) -> None:
        """Append to the log; what stands behind the last checkpoint is cut off when a run is resumed."""
        self.lines.append(line)
        if self.directory is None:
            return
        try:
            with open(self.directory / LOG, "ab") as file:
                file.write(json.dumps(line).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())  # a checkpoint must never know of a line that a power cut takes away
                self.state.log_bytes = file.tell()
        except OSError as error:
            raise checkpoint.unwritable(self.directory / LOG, error) from None

    # --- saving and restoring ----------------------------------------------------------------------------------------

    def keep_best(self, model: VAE) -> None:
        """Keep the weights that are to be used, in float32, with what is known of them."""
        record = {"step": self.state.step, "epoch": self.state.epoch, "elbo_nats": self.state.best}
        weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        if self.directory is None:
            self.best = weights
        else:
            checkpoint.save(self.directory / BEST, weights, record)

    def best_model(self) -> VAE:
        """The model to use: best on held-out data; without such data, the last. In eval mode, without gradients."""
        model = copy.deepcopy(self.current_model())
        if self.directory is not None:
            checkpoint.load_weights(model, checkpoint.load(self.directory / BEST)[0], self.directory / BEST)
        elif self.best is not None:
            model.load_state_dict(self.best)
        return model.eval().requires_grad_(False)

    def save(self) -> None:
        """Write all that is needed to go on to the bit."""
        if not math.isfinite(self.state.best):  # nothing was validated yet: the last weights are the best known
            self.keep_best(self.current_model())
        self.write_state()

    def write_state(self) -> None:
        """The checkpoint alone; nothing without a directory."""
        if self.directory is None:
            return
        self.check_learned()  # the last good checkpoint stays
        begin = time.perf_counter()
        tensors, numbers = checkpoint.pack_optimizer(self.optimizer)
        tensors |= {f"model/{name}": value for name, value in self.model.state_dict().items()}
        tensors |= self.meter.state() | self.guard.state() | random_states(self.runtime.device)
        if self.average is not None:
            tensors |= {f"average/{name}": value for name, value in self.average.model.state_dict().items()}
        self.state.skipped = int(self.guard.skipped)
        record = asdict(self.state) | {"seconds": self.elapsed, "optimizer": numbers, "terms": self.meter.names}
        record["best"] = self.state.best if math.isfinite(self.state.best) else None
        checkpoint.save(self.directory / LAST, tensors, record)
        self.saving = time.perf_counter() - begin

    def restore(self) -> None:
        """Go back to the last checkpoint of the directory, the log's end included."""
        assert self.directory is not None, "nothing to resume without a directory"
        path = self.directory / LAST
        tensors, record = checkpoint.load(path)
        checkpoint.load_weights(self.model, below(tensors, "model/"), path)
        if self.average is not None:
            checkpoint.load_weights(self.average.model, below(tensors, "average/"), path)
        checkpoint.unpack_optimizer(self.optimizer, below(tensors, "optimizer/"), record["optimizer"])
        self.meter.restore(tensors, record["terms"])
        self.guard.restore(tensors)
        self.random = below(tensors, "random/")
        known = {name: value for name, value in record.items() if name in State.__dataclass_fields__}
        self.state = State(**{**known, "best": -math.inf if record["best"] is None else record["best"]})
        self.lines = cut_log(self.directory / LOG, self.state.log_bytes)

    def restore_random_states(self) -> None:
        """Set torch's random states to the checkpoint's."""
        torch.set_rng_state(self.random["cpu"])
        if "device" in self.random:
            torch.cuda.set_rng_state(self.random["device"], self.runtime.device)


def below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The entries below a prefix, without it."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def random_states(device: torch.device) -> dict[str, Tensor]:
    """Torch's random states, by name."""
    states = {"random/cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["random/device"] = torch.cuda.get_rng_state(device)
    return states


def cut_log(path: Path, length: int) -> list[dict[str, Any]]:
    """Cut the log to the lines that belong to a checkpoint, and return them."""
    if not length:
        path.unlink(missing_ok=True)
        return []
    if not path.exists() or path.stat().st_size < length:
        raise RunError(f"{path}: the log is shorter than its checkpoint says; the run is incomplete or was altered")
    with open(path, "r+b") as file:
        file.truncate(length)
        return [json.loads(line) for line in file.read().splitlines()]
