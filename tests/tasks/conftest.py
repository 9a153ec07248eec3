"""One small run, trained once for all tests of the tasks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import vaekit
from vaekit.run import Run
from vaekit.tasks.train import train

OVERRIDES = (
    "data.limit=260",
    "model.latent=5",
    "model.encoder.hidden=[24]",
    "model.decoder.hidden=[20]",
    "train.epochs=8",
    "train.batch_size=32",
    "train.precision=float32",
    "train.device=cpu",
    "train.ema=0.0",
)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a run on a few digits; nobody writes there."""
    path = tmp_path_factory.mktemp("runs") / "small"
    train("digits", out=path, overrides=OVERRIDES)
    return path


@pytest.fixture(scope="session")
def run(trained: Path) -> Run:
    """That run without its directory, so that nothing is kept."""
    loaded = vaekit.load(trained)
    loaded.data()
    loaded.path = None
    return loaded


@pytest.fixture
def directory(trained: Path, tmp_path: Path) -> Path:
    """A copy of the directory, to write in."""
    return Path(shutil.copytree(trained, tmp_path / "small"))
