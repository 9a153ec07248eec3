"""Small runs, trained once for all tests of the report: images with labels, and rows of numbers without."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch

from vaekit.tasks.train import train

SMALL = (
    "model.encoder.hidden=[16]",
    "model.decoder.hidden=[12]",
    "train.batch_size=32",
    "train.precision=float32",
    "train.device=cpu",
    "train.checkpoint=1000 steps",
)


def small(recipe: str, path: Path, *overrides: str, data: object = None) -> Path:
    """A run that is trained for a moment."""
    train(recipe, data, out=path, overrides=(*SMALL, *overrides))
    return path


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits: images with labels, 5 latent dimensions, epochs enough for every chart."""
    path = tmp_path_factory.mktemp("report") / "digits & more"
    return small("digits", path, "data.limit=240", "model.latent=5", "train.epochs=12")


@pytest.fixture(scope="session")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rows of seven numbers without labels, from a file, 1 latent dimension, 2 epochs."""
    folder = tmp_path_factory.mktemp("report")
    generator = torch.Generator().manual_seed(11)
    rows = torch.randn(150, 1, generator=generator) * torch.arange(1.0, 8.0) + 3
    import numpy as np

    np.save(folder / "rows.npy", (rows + 0.3 * torch.randn(150, 7, generator=generator)).numpy())
    return small("array", folder / "rows", "model.latent=1", "train.epochs=2", data=folder / "rows.npy")


@pytest.fixture
def copied(images: Path, tmp_path: Path) -> Path:
    """The run on digits, to write in."""
    return Path(shutil.copytree(images, tmp_path / "run"))
