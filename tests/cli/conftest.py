"""Tiny runs, trained once, that the commands are tried on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from command_line import trained


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """90 grey images of 9×12 pixels in a file."""
    folder = tmp_path_factory.mktemp("data")
    draw = np.random.RandomState(0)
    bright = draw.rand(90, 1, 1) * np.linspace(0, 1, 12)
    x = (255 * np.clip(bright + 0.1 * draw.rand(90, 9, 12), 0, 1)).astype(np.uint8)
    np.savez(folder / "bars.npz", images=x, labels=np.arange(90) % 3)
    return folder / "bars.npz"


@pytest.fixture(scope="session")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """80 rows of five continuous columns in a file."""
    path = tmp_path_factory.mktemp("data") / "table.npy"
    np.save(path, np.random.RandomState(1).randn(80, 5).astype(np.float32) * [1, 10, 0.1, 5, 2])
    return path


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    """A run on the images; tests leave its weights alone."""
    return trained(tmp_path_factory.mktemp("runs") / "bars", images)


@pytest.fixture(scope="session")
def rows_run(tmp_path_factory: pytest.TempPathFactory, table: Path) -> Path:
    """A run on the table."""
    return trained(tmp_path_factory.mktemp("runs") / "table", table, "model.likelihood=gaussian")
