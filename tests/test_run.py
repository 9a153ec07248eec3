"""A run's directory: what is written can be read at every moment, and what was altered is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import vaekit
from vaekit import run as runs
from vaekit.engine import checkpoint
from vaekit.errors import RunError

MODEL = {
    "latent": 2,
    "encoder": {"name": "mlp", "hidden": [6]},
    "decoder": {"name": "mlp", "hidden": [5]},
    "likelihood": "gaussian",
}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A small run on a table in a file."""
    np.save(tmp_path / "table.npy", np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32))
    settings: dict[str, Any] = {"data": {"name": "array", "path": str(tmp_path / "table.npy")}, "model": MODEL}
    vaekit.train(settings, overrides=["train.epochs=2"], out=tmp_path / "run")
    return tmp_path / "run"


def test_a_run_is_read_as_it_was_written(path: Path) -> None:
    run = vaekit.load(path)
    assert run.info.reason == "finished"
    assert run.info.sizes == {"train": 48, "validation": 6, "test": 6}
    assert run.latent_shapes == {"z": (2,)}
    assert runs.config_text(run.config) == (path / "config.yaml").read_bytes()


class PowerCut(Exception):  # noqa: N818
    """Nothing after it is written."""


@pytest.mark.parametrize("writes", range(4))
def test_an_extension_cut_off_at_any_write_leaves_a_run_that_reads(
    writes: int, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, done = checkpoint.write_atomically, []

    def fragile(target: Path, content: bytes) -> None:
        if len(done) == writes:
            raise PowerCut
        done.append(target.name)
        real(target, content)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "write_atomically", fragile)
        with pytest.raises(PowerCut):
            vaekit.resume(path, overrides=["train.epochs=5"])
    assert vaekit.load(path).config.train.epochs == (5 if writes >= 2 else 2)
    assert vaekit.resume(path, overrides=["train.epochs=6"]).history[-1]["epoch"] == 6


def test_an_altered_configuration_is_refused(path: Path) -> None:
    text = (path / "config.yaml").read_text()
    (path / "config.yaml").write_text(text.replace("latent: 2", "latent: 3"))
    with pytest.raises(RunError, match="altered after training began"):
        vaekit.load(path)


def test_a_newer_format_is_refused(path: Path) -> None:
    values = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps(values | {"schema": 99}))
    with pytest.raises(RunError, match="newer vaekit"):
        vaekit.load(path)


@pytest.mark.parametrize(
    ("missing", "message"),
    [("run.json", "not a run directory"), ("config.yaml", "missing, or altered"), ("best.safetensors", "incomplete")],
)
def test_an_incomplete_run_is_refused(missing: str, message: str, path: Path) -> None:
    (path / missing).unlink()
    with pytest.raises(RunError, match=message):
        vaekit.load(path)


def test_other_data_under_the_same_name_is_refused(path: Path) -> None:
    np.save(path.parent / "table.npy", np.zeros((60, 4), dtype=np.float32) + np.arange(4, dtype=np.float32))
    with pytest.raises(vaekit.VaekitError, match="not what it was trained on"):
        vaekit.load(path).rows("test")
