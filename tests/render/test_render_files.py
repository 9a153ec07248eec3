"""Pictures and animations in files."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vaekit.core import DataSpec
from vaekit.errors import ConfigError, DataError, RunError
from vaekit.render import animate, frames, grid, save, save_each

SPEC = DataSpec((3, 5, 9), levels=256)
X = torch.randint(0, 256, (6, 3, 5, 9), generator=torch.Generator().manual_seed(5)).to(torch.uint8)


def test_single_files_hold_the_pixels_themselves(tmp_path: Path) -> None:
    paths = save_each(X, tmp_path / "new" / "folder", SPEC)
    assert [path.name for path in paths] == [f"{i:04d}.png" for i in range(6)]
    for path, x in zip(paths, X, strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(path)), x.permute(1, 2, 0).numpy())
    assert save_each(X[:2], tmp_path, SPEC, names=["cat", "dog"])[1] == tmp_path / "dog.png"


@pytest.mark.parametrize("suffix", [".png", ".webp", ".bmp", ".tiff"])
def test_what_is_saved_loses_nothing(tmp_path: Path, suffix: str) -> None:
    sheet = grid(X, SPEC)
    path = save(sheet, tmp_path / f"grid{suffix}")
    np.testing.assert_array_equal(np.asarray(Image.open(path).convert("RGB")), np.asarray(sheet))


@pytest.mark.parametrize("suffix", [".gif", ".png", ".apng", ".webp"])
def test_an_animation_goes_there_and_back(tmp_path: Path, suffix: str) -> None:
    steps = torch.stack([X[i : i + 2] for i in range(5)])  # (5, 2, ...)
    pictures = frames(steps, SPEC, columns=2)
    assert len({picture.size for picture in pictures}) == 1
    path = animate(pictures, tmp_path / f"walk{suffix}", seconds=0.05)
    with Image.open(path) as film:
        assert film.n_frames == 8  # 0 1 2 3 4 3 2 1
        assert film.size == pictures[0].size
        assert film.info.get("loop", 0) == 0
    once = animate(pictures, tmp_path / f"once{suffix}", bounce=False)
    with Image.open(once) as film:
        assert film.n_frames == 5


def test_frames_share_one_window() -> None:
    spec = DataSpec((1, 2, 3))
    steps = torch.stack([torch.zeros(1, 1, 2, 3), torch.ones(1, 1, 2, 3)])
    dark, bright = frames(steps, spec, factor=4)
    assert np.asarray(dark)[2, 2] == 0
    assert np.asarray(bright)[2, 2] == 255


def test_an_unknown_format_and_no_frames_are_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.gif"):
        animate([grid(X, SPEC)], tmp_path / "film.mp4")
    with pytest.raises(ConfigError, match=r"\.png"):
        save(grid(X, SPEC), tmp_path / "grid.jpeg2")
    with pytest.raises(DataError, match="frame"):
        animate([], tmp_path / "film.gif")


def test_a_place_that_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(RunError, match="cannot be written"):
        save(grid(X, SPEC), tmp_path / "file" / "grid.png")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
