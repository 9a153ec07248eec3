"""`vaekit train`: what it prints and writes, how it goes on, how it stops."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from command_line import invoke, refused, said, settings, trained

from vaekit import run as runs
from vaekit.cli import application, clock
from vaekit.cli.training import limit


def test_lines_and_summary(tmp_path: Path, images: Path) -> None:
    path = tmp_path / "new"
    result = invoke(
        "train", "array", "--data", images, "--out", path, *settings("train.epochs=4", "objective.beta=0.5")
    )
    assert result.exit_code == 0, said(result)
    lines = result.stdout.splitlines()
    assert any(line.split()[:2] == ["4", "100%"] for line in lines), result.stdout
    assert any(line.startswith("held-out ELBO") and "±" in line and "nats" in line for line in lines)
    assert any(line.startswith("effective beta") and "0.5" in line for line in lines)
    for command in ("evaluate", "generate", "report"):
        assert f"vaekit {command} {path}" in result.stdout


def test_remarks_of_the_data_are_shown(tmp_path: Path, table: Path) -> None:
    import numpy as np

    rows = np.load(table)
    rows[:, 2] = 7.0
    np.save(tmp_path / "constant.npy", rows)
    result = invoke(
        "train", "array", "--data", tmp_path / "constant.npy", "--out", tmp_path / "run",
        *settings("train.epochs=1", "model.likelihood=gaussian"),
    )  # fmt: skip
    assert result.exit_code == 0, said(result)
    assert "note:" in result.stderr and "constant" in result.stderr


def test_quiet_prints_the_directory_alone(run: Path) -> None:
    assert (run / "best.safetensors").exists()  # `trained` has checked what was printed


def test_seed_is_the_plan_s(tmp_path: Path, images: Path) -> None:
    path = trained(tmp_path / "seeded", images, options=["--seed", "11"])
    assert runs.read_config(path).train.seed == 11


def test_numbered_directories(tmp_path: Path, images: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for expected in ("runs/array", "runs/array-2"):
        result = invoke("train", "array", "--data", images, *settings("train.epochs=1"), "-q")
        assert result.stdout.strip() == expected


def test_resume_goes_on_to_the_bit(tmp_path: Path, images: Path) -> None:
    straight = trained(tmp_path / "straight", images, "train.schedule=constant", "train.epochs=5")
    parts = trained(tmp_path / "parts", images, "train.schedule=constant", "train.epochs=2")
    result = invoke("train", "--resume", parts, "--set", "train.epochs=5", "-q")
    assert result.exit_code == 0, said(result)
    a, b = (runs.load(path).model.state_dict() for path in (straight, parts))
    assert all(bool((a[name] == b[name]).all()) for name in a)
    assert len(runs.read_log(parts)) == 5


def test_resume_for_a_time(tmp_path: Path, images: Path) -> None:
    path = trained(tmp_path / "timed", images)
    result = invoke("train", "--resume", path, "--time", "1s")
    assert result.exit_code == 0, said(result)
    assert "time used up" in said(result)
    assert len(runs.read_log(path)) > 3


def test_time_that_start_up_uses_up(tmp_path: Path, images: Path) -> None:
    path = tmp_path / "untrained"
    result = invoke("train", "array", "--data", images, "--out", path, "--time", "0.0001s", *settings())
    assert result.exit_code == 0, said(result)
    assert "these weights know nothing" in said(result) and f"--resume {path}" in said(result)
    again = invoke("train", "--resume", path, "--time", "1s")
    assert again.exit_code == 0 and "know nothing" not in said(again), said(again)


def test_fine_tuning_starts_from_weights(tmp_path: Path, images: Path, run: Path) -> None:
    path = trained(tmp_path / "tuned", images, "train.lr=1e-9", options=["--init-from", str(run)])
    a, b = (runs.load(each).model.state_dict() for each in (run, path))
    assert all((a[name] - b[name]).abs().max() < 1e-3 for name in a)


def test_time_replaces_the_number_of_epochs() -> None:
    assert limit("90s") == ['train.time="90s"', "train.epochs=null", "train.steps=null"]
    assert limit(None) == []


def test_time_may_be_seconds_alone(tmp_path: Path, images: Path) -> None:
    path = tmp_path / "short"
    result = invoke("train", "array", "--data", images, "--out", path, "--time", "1", *settings())
    assert result.exit_code == 0 and "time used up" in said(result), said(result)


def test_budget_counts_from_the_start_of_the_process() -> None:
    code = (
        "import time; began = time.perf_counter(); time.sleep(0.3)\n"
        "from vaekit.cli.clock import process_start\n"
        "assert process_start() <= began < time.perf_counter() - 0.3, (process_start(), began)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert clock.process_start() <= clock.IMPORTED


def test_embedded_calls_do_not_count_the_host_s_time(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(application, "app", lambda given, **options: seen.append((given, options["obj"])))
    application.main(["train", "digits", "--debug"])
    assert seen == [(["--debug", "train", "digits"], None)]


@pytest.mark.parametrize(
    ("option", "value"), [("--data", "x.npy"), ("--data-dir", "x"), ("--out", "x"), ("--init-from", "x")]
)
def test_resume_takes_no_options_of_a_new_run(run: Path, option: str, value: str) -> None:
    refused(invoke("train", "--resume", run, option, value), option, "--resume", "fix:")


def test_resume_of_what_has_ended(run: Path) -> None:
    refused(invoke("train", "--resume", run), "ended already", "train.epochs=6")


def test_resume_with_another_configuration(run: Path) -> None:
    refused(invoke("train", "--resume", run, "--set", "train.lr=1"), "train.lr", "0.001", "--init-from")


# --- interruption ----------------------------------------------------------------------------------------------------


def start(*arguments: str | Path) -> subprocess.Popen[str]:
    """The command line in a process of its own."""
    command = [sys.executable, "-m", "vaekit", *(str(argument) for argument in arguments)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    """Until a file has something in it."""
    for _ in range(600):
        if path.exists() and path.stat().st_size:
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    raise AssertionError(f"{path} never came")


def test_interrupt_saves_and_says_how_to_go_on(tmp_path: Path, images: Path) -> None:
    path = tmp_path / "stopped"
    endless = settings("train.epochs=null", "train.time=10m", "train.patience=0")
    process = start("train", "array", "--data", images, "--out", path, *endless)
    wait_for(path / "log.jsonl", process)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    assert f"vaekit train --resume {path}" in err and "Traceback" not in err
    assert "interrupted" in out
    done = len((path / "log.jsonl").read_text().splitlines())
    assert json.loads((path / "run.json").read_text())["reason"] == "interrupted"
    result = invoke("train", "--resume", path, "--time", "1s", "-q")
    assert result.exit_code == 0, said(result)
    assert len(runs.read_log(path)) > done


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_training_goes_on_where_it_was(tmp_path: Path, images: Path) -> None:
    path = tmp_path / "killed"
    endless = settings("train.epochs=null", "train.time=10m", "train.patience=0", "train.checkpoint=5 steps")
    process = start("train", "array", "--data", images, "--out", path, *endless)
    wait_for(path / "log.jsonl", process)
    process.kill()
    process.communicate()
    result = invoke("train", "--resume", path, "--time", "1s", "-q")
    assert result.exit_code == 0, said(result)
    epochs = [line["epoch"] for line in runs.read_log(path)]
    assert epochs == list(range(1, len(epochs) + 1))


def test_broken_pipe_is_quiet() -> None:
    command = f"{sys.executable} -m vaekit list likelihoods | head -n 1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("likelihoods") and not done.stderr
