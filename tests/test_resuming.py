"""Resuming a run as a whole: how long, with what data, and what is refused."""

from __future__ import annotations

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vaekit
from vaekit.engine import checkpoint
from vaekit.engine.fit import EpochEnd, Event
from vaekit.errors import DataError, RunError, VaekitError
from vaekit.tasks import train as task
from vaekit.tasks.lock import alone

SETTINGS = {
    "data": {"name": "array", "path": None},
    "model": {
        "latent": 2,
        "encoder": {"name": "mlp", "hidden": [7]},
        "decoder": {"name": "mlp", "hidden": [6]},
        "likelihood": "gaussian",
    },
    "train": {"epochs": 2, "batch_size": 16, "precision": "float32", "device": "cpu"},
}
ROWS = np.random.RandomState(0).randn(60, 4).astype(np.float32)


def epochs(run: vaekit.Run) -> list[int]:
    return [line["epoch"] for line in run.history]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two epochs on a file, kept."""
    folder = tmp_path_factory.mktemp("resuming")
    np.save(folder / "rows.npy", ROWS)
    vaekit.train(SETTINGS, folder / "rows.npy", out=folder / "run")
    return folder / "run"


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run"


def test_a_time_lifts_the_limit_of_epochs(run: Path) -> None:
    longer = vaekit.resume(run, time="1s")
    assert longer.info.reason == "time" and len(epochs(longer)) > 2
    assert epochs(longer) == list(range(1, len(epochs(longer)) + 1))


@pytest.mark.parametrize("overrides", [[], ["train.epochs=1"], ["train.epochs=2", "train.patience=5"]])
def test_nothing_left_to_do_is_refused(run: Path, overrides: list[str]) -> None:
    before = (run / "config.yaml").read_bytes()
    with pytest.raises(RunError, match=r"ended already[\s\S]*train\.epochs=4"):
        vaekit.resume(run, overrides=overrides)
    assert (run / "config.yaml").read_bytes() == before


def test_what_stopped_a_run_must_be_lifted(tmp_path: Path) -> None:
    plan = {**SETTINGS["train"], "patience": 1, "epochs": 500, "lr": 0.5}
    made = vaekit.train({**SETTINGS, "train": plan}, ROWS, out=tmp_path / "run")
    assert made.info.reason == "patience"
    with pytest.raises(RunError, match=r"train\.patience used up[\s\S]*train\.patience=0"):
        vaekit.resume(tmp_path / "run", ROWS, overrides=["train.epochs=900"])
    more = len(epochs(made)) + 2
    gone_on = vaekit.resume(tmp_path / "run", ROWS, overrides=["train.patience=0", f"train.epochs={more}"])
    assert epochs(gone_on) == list(range(1, more + 1))


def test_a_run_on_arrays_in_hand_goes_on_with_the_same_arrays(tmp_path: Path) -> None:
    out = tmp_path / "run"
    vaekit.train(SETTINGS, ROWS, out=out)
    with pytest.raises(DataError, match="other data"):
        vaekit.resume(out, ROWS + 1, overrides=["train.epochs=3"])
    with pytest.raises(DataError, match="in memory"):
        vaekit.resume(out, overrides=["train.epochs=3"])
    assert epochs(vaekit.resume(out, ROWS, overrides=["train.epochs=3"])) == [1, 2, 3]


def test_settings_of_arrays_in_hand_are_heeded(tmp_path: Path) -> None:
    run = vaekit.train(SETTINGS, ROWS, overrides=["data.validation=7", "data.test=5"], out=tmp_path / "run")
    assert run.info.sizes == {"train": 48, "validation": 7, "test": 5}


def test_the_same_configuration_may_be_named_again_but_no_other_data(run: Path) -> None:
    same: dict[str, Any] = {**SETTINGS, "data": {"name": "array"}, "train": {**SETTINGS["train"], "epochs": 3}}
    with pytest.raises(RunError, match=r"data\.path"):
        vaekit.resume(run, what={**same, "data": {"name": "array", "path": "other.npy"}})
    assert epochs(vaekit.resume(run, what=same)) == [1, 2, 3]


def test_a_run_can_be_resumed_from_its_first_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = vaekit.train(SETTINGS, ROWS, out=tmp_path / "straight")

    def killed(*_: object) -> None:
        raise SystemExit

    with monkeypatch.context() as patch:
        patch.setattr("vaekit.engine.training.Training.rehearse", killed)
        with pytest.raises(SystemExit):
            vaekit.train(SETTINGS, ROWS, out=tmp_path / "killed")
    with pytest.raises(RunError, match="--resume"):
        vaekit.load(tmp_path / "killed")
    resumed = vaekit.resume(tmp_path / "killed", ROWS)
    both = [checkpoint.load(run / "last.safetensors")[0] for run in (tmp_path / "straight", tmp_path / "killed")]
    assert all(both[0][name].equal(both[1][name]) for name in both[0])
    assert epochs(resumed) == epochs(straight)


def test_without_a_checkpoint_the_message_says_what_to_do(run: Path) -> None:
    (run / "last.safetensors").unlink()
    with pytest.raises(RunError, match=r"begin anew.*config\.yaml"):
        vaekit.resume(run)


def test_data_is_found_again_from_another_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    np.save(tmp_path / "rows.npy", ROWS)
    monkeypatch.chdir(tmp_path)
    vaekit.train(SETTINGS, "rows.npy", out="run")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert len(vaekit.load("../run").rows("test")) == 6


@pytest.mark.parametrize("schema", ["x", None, 1.5])
def test_an_altered_version_is_refused(run: Path, schema: object) -> None:
    info = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**info, "schema": schema}))
    with pytest.raises(RunError, match="format version"):
        vaekit.load(run)


@pytest.mark.parametrize("path", [":Mine", "json:Nothing", "json:", ".relative:Mine", "json:JSONDecoder"])
def test_import_paths_that_lead_nowhere(path: str, tmp_path: Path) -> None:
    with pytest.raises(VaekitError, match=r"model\.encoder"):
        task.train(SETTINGS, ROWS, overrides=[f"model.encoder={path}"], out=tmp_path / "run")


def test_two_trainings_in_one_directory_are_refused(run: Path) -> None:
    with alone(run), pytest.raises(RunError, match=r"trained by another process[\s\S]*--init-from"):
        vaekit.resume(run, time="1s")
    assert vaekit.resume(run, time="1s").info.reason == "time"


def test_a_directory_that_cannot_be_written_is_said(run: Path) -> None:
    (run / "lock").unlink()
    (run / "lock").mkdir()
    with pytest.raises(RunError, match="cannot be written"):
        vaekit.resume(run, time="1s")


def test_an_interruption_is_said_from_python_too(tmp_path: Path) -> None:
    def stop(event: Event) -> None:
        if isinstance(event, EpochEnd):
            signal.raise_signal(signal.SIGINT)

    settings = {**SETTINGS, "train": {**SETTINGS["train"], "epochs": 50}}
    with pytest.warns(task.Interrupted, match=r"vaekit\.resume"):
        stopped = vaekit.train(settings, ROWS, out=tmp_path / "run", hooks=[stop])
    assert stopped.info.reason == "interrupted" and len(stopped.history) < 50
