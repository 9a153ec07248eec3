"""Training in parts equals training in one go, to the bit."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from torch import Tensor

from vaekit.core import Batch
from vaekit.engine import checkpoint
from vaekit.engine.fit import EpochEnd, Event, Progress, fit
from vaekit.errors import RunError

PLANS = [
    {},
    {"ema": 0.9, "clip": 1.0, "schedule": "constant"},
    {"optimizer": "SGD", "optimizer_options": {"momentum": 0.9}, "lr": 0.05},
    {"optimizer": "Adam", "optimizer_options": {"amsgrad": True, "fused": False}, "accumulate": 2},
    {"optimizer": "RMSprop", "lr_warmup": 5, "ema": 0.5},
    {"optimizer": "Adafactor"},
]


def weights(directory: Path) -> dict[str, torch.Tensor]:
    tensors, _ = checkpoint.load(directory / "last.safetensors")
    return {name: value for name, value in tensors.items() if name.startswith(("model/", "average/", "optimizer/"))}


def untimed(directory: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (directory / "log.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k not in ("seconds", "images_per_second")} for line in lines]


class StopAfter:
    """A hook that asks for a stop, as Ctrl-C does, once `epoch` epochs are done."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def __call__(self, event: Event) -> None:
        if isinstance(event, EpochEnd) and event.record["epoch"] == self.epoch:
            os.kill(os.getpid(), signal.SIGINT)


CONV = {"name": "resnet", "channels": [5, 6], "blocks": 1, "patch": 2}


@pytest.mark.parametrize("net", [None, CONV], ids=["mlp", "resnet"])
@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.get("optimizer", "AdamW") + f"-{len(plan)}")
def test_stopped_and_resumed_equals_straight(plan: dict[str, Any], net: Any, tmp_path: Path) -> None:
    straight, parted = tmp_path / "straight", tmp_path / "parted"
    straight.mkdir()
    parted.mkdir()
    small.train({**plan, "epochs": 5}, net=net, directory=straight)

    stopped = small.train({**plan, "epochs": 5}, net=net, directory=parted, hooks=[StopAfter(2)])
    assert stopped.reason == "interrupted"
    assert stopped.steps < 5 * len(small.make_data().train) // 32
    resumed = small.train({**plan, "epochs": 5}, net=net, directory=parted, resume=True)

    assert resumed.reason == "finished"
    assert_equal(straight, parted)


@pytest.mark.parametrize(("steps", "accumulate"), [(27, 1), (30, 1), (13, 2)])
def test_stopped_and_resumed_ends_at_the_same_step(steps: int, accumulate: int, tmp_path: Path) -> None:
    """With a planned number of steps, in mid-epoch too, and a schedule that fits to it."""
    straight, parted = tmp_path / "straight", tmp_path / "parted"
    straight.mkdir()
    parted.mkdir()
    plan = {"epochs": None, "steps": steps, "accumulate": accumulate, "ema": 0.9}
    small.train(plan, directory=straight)
    stopped = small.train(plan, directory=parted, hooks=[StopAfter(2)])
    assert stopped.reason == "interrupted" and stopped.steps < steps
    resumed = small.train(plan, directory=parted, resume=True)
    assert (resumed.reason, resumed.steps) == ("finished", steps)
    assert_equal(straight, parted)
    assert small.train(plan, directory=parted, resume=True).steps == steps, "and there is nothing more to do"
    assert_equal(straight, parted)


def assert_equal(straight: Path, parted: Path) -> None:
    """The same bits of everything that is kept, and the same log but for the times."""
    expected, got = weights(straight), weights(parted)
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        assert torch.equal(value, got[name]), name
    assert untimed(straight) == untimed(parted)
    best = [checkpoint.load(path / "best.safetensors")[0] for path in (straight, parted)]
    assert all(torch.equal(best[0][name], best[1][name]) for name in best[0])


class Torn(Exception):  # noqa: N818
    """What the power cut would be."""


@dataclass(frozen=True)
class Brittle(small.Rows):
    """Rows that give out after a number of batches."""

    left: list[int] = field(default_factory=lambda: [0])

    def batches(self, order: Tensor, batch_size: int, drop_last: bool = False) -> Iterator[Batch]:
        for batch in super().batches(order, batch_size, drop_last):
            self.left[0] -= 1
            if not self.left[0]:
                raise Torn
            yield batch


@pytest.mark.parametrize("seed", range(4))
def test_torn_at_any_batch_and_resumed_equals_straight(seed: int, tmp_path: Path) -> None:
    """Cut off at random batches, the very last of an epoch too: what came after the last checkpoint is done again."""
    plan = {
        "epochs": 30,
        "batch_size": 20,
        "checkpoint": "7 steps",
        "ema": 0.9,
        "validate_every": 5,
        "accumulate": 1 + seed % 2,
    }
    straight, torn, dice = tmp_path / "straight", tmp_path / "torn", random.Random(seed)
    straight.mkdir()
    torn.mkdir()
    small.train(plan, directory=straight)
    for _ in range(100):
        model, objective, data, settings = small.parts(plan)
        data = small.Data(Brittle(data.train.x, [dice.randint(1, 90)]), data.validation)
        try:
            fit(model, objective, data, settings, directory=torn, resume=(torn / "last.safetensors").exists())
            break
        except Torn:
            continue
    assert_equal(straight, torn)


def test_a_stop_in_mid_epoch_is_at_a_step(tmp_path: Path) -> None:
    """The signal comes inside an epoch; the position in it is kept."""

    class Now(StopAfter):
        def __call__(self, event: Event) -> None:
            if isinstance(event, Progress):
                os.kill(os.getpid(), signal.SIGINT)

    settings = {"epochs": 400, "schedule": "constant"}
    fitted = small.train(settings, directory=tmp_path, hooks=[Now(0)])
    _, record = checkpoint.load(tmp_path / "last.safetensors")
    assert fitted.reason == "interrupted"
    assert record["step"] == fitted.steps == record["epoch"] * 6 + record["position"]


def test_training_restores_the_global_random_state(tmp_path: Path) -> None:
    torch.manual_seed(5)
    before = torch.get_rng_state()
    small.train({"epochs": 1})
    assert torch.equal(before, torch.get_rng_state())


def test_a_torn_or_altered_checkpoint_is_refused(tmp_path: Path) -> None:
    small.train({"epochs": 1}, directory=tmp_path)
    path = tmp_path / "last.safetensors"
    whole = path.read_bytes()

    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RunError, match="torn or was altered"):
        small.train({"epochs": 1}, directory=tmp_path, resume=True)

    altered = bytearray(whole)
    altered[-3] ^= 1
    path.write_bytes(bytes(altered))
    with pytest.raises(RunError, match="does not match its digest"):
        small.train({"epochs": 1}, directory=tmp_path, resume=True)

    path.unlink()
    with pytest.raises(RunError, match="no such checkpoint"):
        small.train({"epochs": 1}, directory=tmp_path, resume=True)


def test_a_checkpoint_of_a_newer_version_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "SCHEMA", 99)
        checkpoint.save(tmp_path / "new.safetensors", {"a": torch.ones(2)}, {})
    with pytest.raises(RunError, match="newer vaekit"):
        checkpoint.load(tmp_path / "new.safetensors")


def test_weights_of_another_model_are_refused(tmp_path: Path) -> None:
    small.train({"epochs": 1}, directory=tmp_path)
    model, objective, data, plan = small.parts()
    model.likelihood.head.layer = torch.nn.Linear(16, 5)
    with pytest.raises(RunError, match="not of the model"):
        fit(model, objective, data, plan, directory=tmp_path, resume=True)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "weights.safetensors"
    checkpoint.save(path, {"a": torch.ones(3)}, {"step": 1})

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match="No space left on device") as caught:
        checkpoint.save(path, {"a": torch.zeros(3)}, {"step": 2})
    assert "unharmed" in str(caught.value)
    assert checkpoint.load(path)[1] == {"step": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["weights.safetensors"]
