"""SIGKILL at random moments, some inside a checkpoint write; every resumption goes on as if nothing had happened.

Each attempt is a process that a fork server, in which torch is imported already, forks within milliseconds.
"""

from __future__ import annotations

import json
import multiprocessing as mp
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.context import ForkServerContext
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from torch import Tensor

from vaekit.core import Batch
from vaekit.engine import checkpoint
from vaekit.engine.fit import fit

KILLS, INSIDE_A_WRITE = 20, 5
INTERVAL = 7  # steps between checkpoints
SETTINGS = {"epochs": 400, "batch_size": 20, "checkpoint": f"{INTERVAL} steps", "ema": 0.9, "validate_every": 5}


@dataclass(frozen=True)
class Counted(small.Rows):
    """Rows that write down how many batches they have yielded, where a killed process cannot take it back."""

    count: Any = None

    def batches(self, order: Tensor, batch_size: int, drop_last: bool = False) -> Iterator[Batch]:
        for batch in super().batches(order, batch_size, drop_last):
            self.count.value += 1
            yield batch


def attempt(directory: str, count: Synchronized[int]) -> None:
    """Train, or go on training, to the end: what a child process does until it is killed."""
    torch.set_num_threads(1)
    path = Path(directory)
    model, objective, data, plan = small.parts(SETTINGS)
    resume = (path / "last.safetensors").exists()
    if resume:
        done = checkpoint.load(path / "last.safetensors")[1]["step"]
        count.value = done
    data = small.Data(Counted(data.train.x, count), data.validation)
    fit(model, objective, data, plan, directory=path, resume=resume)


def kill_at_random(context: ForkServerContext, directory: Path, dice: random.Random, inside: bool) -> tuple[int, bool]:
    """Start an attempt and kill it: at a random moment, or (`inside`) as soon as a checkpoint is being written.

    Returns the steps it had begun, and whether a half-written checkpoint was left behind.
    """
    count = context.Value("i", 0, lock=False)
    child = context.Process(target=attempt, args=(str(directory), count))
    half = directory / ".last.safetensors.tmp"
    half.unlink(missing_ok=True)
    child.start()
    deadline = time.perf_counter() + 20
    while count.value == 0 and child.is_alive() and time.perf_counter() < deadline:
        time.sleep(0.0005)
    until = time.perf_counter() + dice.uniform(0.01, 0.25)
    while child.is_alive() and time.perf_counter() < until:
        pass
    while inside and child.is_alive() and not half.exists():
        pass
    child.kill()
    child.join()
    return count.value, half.exists()


@pytest.mark.slow
def test_killed_twenty_times(tmp_path: Path) -> None:
    context = mp.get_context("forkserver")
    context.set_forkserver_preload(
        [
            "torch._dynamo",
            "pytest",
            "vaekit.engine.fit",
            "vaekit.build",
            "vaekit.likelihoods.bernoulli",
            "vaekit.nets.mlp",
            "vaekit.objectives.elbo",
        ]
    )
    dice = random.Random(11)
    straight, killed = tmp_path / "straight", tmp_path / "killed"
    straight.mkdir()
    killed.mkdir()
    child = context.Process(target=attempt, args=(str(straight), context.Value("i", 0, lock=False)))
    child.start()
    child.join()
    assert child.exitcode == 0

    kills = inside = 0
    while kills < KILLS:
        begun, half = kill_at_random(context, killed, dice, inside=kills % 2 == 1)
        kills, inside = kills + 1, inside + half
        if (killed / "last.safetensors").exists():
            saved = checkpoint.load(killed / "last.safetensors")[1]["step"]
            assert begun - saved <= INTERVAL + 1, "more work was lost than one interval (and the step in flight)"
        else:
            assert begun <= INTERVAL + 1
    assert inside >= INSIDE_A_WRITE, f"only {inside} of the kills hit a checkpoint write"

    child = context.Process(target=attempt, args=(str(killed), context.Value("i", 0, lock=False)))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert_same(straight, killed)


def assert_same(straight: Path, killed: Path) -> None:
    """The same bits of everything, and the same log without a line twice or missing."""
    (expected, before), (got, after) = (checkpoint.load(path / "last.safetensors") for path in (straight, killed))
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        assert torch.equal(value, got[name]), name
    assert before["step"] == after["step"]
    logs = [[json.loads(line) for line in (path / "log.jsonl").read_text().splitlines()] for path in (straight, killed)]
    assert [line["epoch"] for line in logs[1]] == list(range(1, SETTINGS["epochs"] + 1))  # type: ignore[operator]
    timeless = [[{k: v for k, v in line.items() if "second" not in k} for line in log] for log in logs]
    assert timeless[0] == timeless[1]
