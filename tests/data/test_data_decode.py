"""One file → pixels: modes, transparency, orientation, 16 bits, and the three ways to fit a size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from data_makers import picture
from PIL import Image

from vaekit.data.dataset import Preparation
from vaekit.data.decode import is_deep, is_grey, read_header, read_pixels, to_pixels

GREY, COLOUR = Preparation((1, 20, 24), levels=256), Preparation((3, 20, 24), levels=256)


@pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "webp", "bmp", "tif", "tiff", "gif", "PNG"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    image = picture(1)
    image.save(tmp_path / f"a.{suffix}", **({"quality": 95} if suffix in ("jpg", "jpeg", "webp") else {}))
    header, x = read_header(tmp_path / f"a.{suffix}"), read_pixels(tmp_path / f"a.{suffix}", COLOUR)
    assert (header.height, header.width, header.grey, header.deep) == (20, 24, False, False)
    assert (x.shape, x.dtype) == ((3, 20, 24), np.uint8)
    wanted = np.asarray(image).transpose(2, 0, 1).astype(int)
    assert np.abs(x - wanted).mean() < (0 if suffix.lower() in ("png", "bmp", "tif", "tiff") else 12) + 1e-9


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "I;16", "I"])
def test_modes(mode: str) -> None:
    image = picture(2).convert("L") if mode.startswith("I") else picture(2)
    image = Image.fromarray(np.asarray(image).astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    if mode == "I":
        image = image.point(lambda value: value * 257)
    assert is_grey(image) == (mode in ("1", "L", "LA", "I;16", "I"))
    assert is_deep(image) == mode.startswith("I")
    for preparation in (GREY, COLOUR):
        assert to_pixels(image, preparation).shape == preparation.shape
    if mode not in ("1", "P", "CMYK", "YCbCr"):
        exact = picture(2).convert("L")
        assert np.abs(to_pixels(image, GREY)[0].astype(int) - np.asarray(exact)).max() <= 1


def test_sixteen_bits_keep_their_range() -> None:
    x = np.array([[0, 257, 65535], [128, 129, 65406]], dtype=np.uint16)
    pixels = to_pixels(Image.fromarray(x), Preparation((1, 2, 3), levels=256))
    assert pixels[0].tolist() == [[0, 1, 255], [0, 1, 254]]


@pytest.mark.parametrize("x", [np.zeros((9, 9), np.float32), np.full((9, 9), 70_000, np.int32)])
def test_pixels_without_a_range_are_refused(x: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"no range|beyond 16 bits"):
        to_pixels(Image.fromarray(x), GREY)


def test_transparent_parts_are_laid_over_white(tmp_path: Path) -> None:
    x = np.zeros((20, 24, 4), np.uint8)
    x[:, 12:] = (10, 20, 30, 255)
    image = Image.fromarray(x)
    for form in (image, image.convert("P"), image.convert("LA")):
        form.save(tmp_path / "a.png")
        pixels = read_pixels(tmp_path / "a.png", COLOUR)
        assert (pixels[:, :, :12] == 255).all()
        assert (pixels[:, :, 12:] < 40).all()


def test_grey_palettes_are_grey() -> None:
    image = picture(3, channels=1).convert("P")
    assert is_grey(image)
    assert not is_grey(picture(3).convert("P", palette=Image.Palette.ADAPTIVE))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation(tmp_path: Path, orientation: int) -> None:
    upright = picture(4)
    turns = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # PIL's transpositions that make such a file
    stored = upright.transpose(Image.Transpose(turns[orientation])) if orientation > 1 else upright
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored.save(tmp_path / "a.png", exif=exif)
    header = read_header(tmp_path / "a.png")
    assert (header.height, header.width) == (20, 24)
    assert np.array_equal(read_pixels(tmp_path / "a.png", COLOUR), np.asarray(upright).transpose(2, 0, 1))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")
def test_a_damaged_exif_block_spoils_nothing(tmp_path: Path) -> None:
    picture(4).save(tmp_path / "a.jpg", exif=b"Exif\x00\x00MM\x00*\x00\x00\x00\x08\xff\xff\x01")
    assert read_header(tmp_path / "a.jpg").height == 20
    assert read_pixels(tmp_path / "a.jpg", COLOUR).shape == (3, 20, 24)


def half_white(height: int, width: int) -> Image.Image:
    """Black, with a white middle third across the longer side."""
    x = np.zeros((height, width), np.uint8)
    x[height // 3 : height - height // 3 or None] = 255 if height > width else 0
    if width >= height:
        x[:, width // 3 : width - width // 3] = 255
    return Image.fromarray(x)


def test_crop_covers_the_frame_from_the_centre() -> None:
    x = to_pixels(half_white(30, 90), Preparation((1, 10, 10), levels=256, fit="crop"))
    assert (x > 200).all()


def test_pad_shows_everything_between_black_bars() -> None:
    x = to_pixels(Image.new("L", (90, 30), 255), Preparation((1, 12, 12), levels=256, fit="pad"))
    assert (x[0, 4:8] == 255).all()
    assert (x[0, [0, 1, 10, 11]] == 0).all()


def test_stretch_scales_each_side() -> None:
    x = to_pixels(half_white(30, 90), Preparation((1, 10, 12), levels=256, fit="stretch"))
    assert (x[0, :, 5:7] == 255).all()
    assert (x[0, :, [0, 11]] == 0).all()


def test_fewer_levels() -> None:
    x = to_pixels(picture(5), Preparation((3, 20, 24), levels=4, source_levels=256))
    assert set(np.unique(x)) <= {0, 1, 2, 3}
    assert np.array_equal(x, np.asarray(picture(5)).transpose(2, 0, 1) // 64)


def test_large_jpegs_shrink_while_decoding_to_nearly_the_same(tmp_path: Path) -> None:
    picture(6, 640, 960).save(tmp_path / "a.jpg", quality=95)
    x = read_pixels(tmp_path / "a.jpg", COLOUR).astype(int)
    assert np.abs(x - to_pixels(picture(6, 640, 960), COLOUR)).max() < 8


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp"])
def test_files_cut_short_are_found_by_their_end(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    picture(7, 60, 80).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(OSError, match=r"truncated|could not|cannot|failed"):
        read_header(path)


def test_bytes_behind_the_end_do_no_harm(tmp_path: Path) -> None:
    picture(7).save(tmp_path / "a.jpg")
    with open(tmp_path / "a.jpg", "ab") as file:
        file.write(b"trailing")
    assert read_header(tmp_path / "a.jpg").height == 20
