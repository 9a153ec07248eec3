"""Grids and strips: geometry, values, sharpness, labels."""

import numpy as np
import pytest
import torch

from vaekit.core import DataSpec
from vaekit.errors import DataError
from vaekit.render import Strip, Window, beside, grid, pairs, picture, rows, strips, to_pixels

GREY = DataSpec((1, 5, 7), levels=17)
COLOUR = DataSpec((3, 6, 4), levels=256)


def examples(spec: DataSpec, n: int) -> torch.Tensor:
    top = spec.levels or 2
    return torch.randint(0, top, (n, *spec.shape), generator=torch.Generator().manual_seed(3)).to(torch.uint8)


@pytest.mark.parametrize("spec", [GREY, COLOUR], ids=["grey", "colour"])
def test_a_grid_holds_every_image_in_its_place(spec: DataSpec) -> None:
    x = examples(spec, 11)
    sheet = np.atleast_3d(np.asarray(grid(x, spec, columns=4, factor=3)))
    _, height, width = spec.shape
    assert sheet.shape == (3 * (3 * height + 1) + 1, 4 * (3 * width + 1) + 1, spec.shape[0])
    pixels = to_pixels(x, spec)
    for number in range(11):
        top, left = 1 + number // 4 * (3 * height + 1), 1 + number % 4 * (3 * width + 1)
        cell = sheet[top : top + 3 * height, left : left + 3 * width]
        for row in range(3):  # every pixel is a sharp 3 × 3 block
            for column in range(3):
                np.testing.assert_array_equal(cell[row::3, column::3], pixels[number])


def test_the_frame_is_grey_whatever_the_images_are() -> None:
    sheet = np.asarray(grid(examples(GREY, 6), GREY, columns=3, factor=12))
    assert set(np.unique(sheet[:2])) == {128}
    assert set(np.unique(sheet[:, -2:])) == {128}


def test_small_images_are_enlarged_by_a_whole_factor_and_large_ones_not() -> None:
    assert grid(examples(GREY, 1), GREY).size == (7 * 10 + 2 * 3, 5 * 10 + 2 * 3)
    large = DataSpec((1, 90, 130), levels=2)
    assert grid(examples(large, 1), large).size == (130 + 2 * 6, 90 + 2 * 6)


def test_a_grid_is_about_square_when_columns_are_not_given() -> None:
    width, height = grid(examples(COLOUR, 24), COLOUR).size
    assert 0.5 < width / height < 2


def test_levels_become_black_to_white_and_rounding_is_to_the_nearest() -> None:
    x = torch.arange(17.0).reshape(17, 1, 1, 1)
    shown = to_pixels(x, DataSpec((1, 1, 1), levels=17)).ravel()
    assert shown[0] == 0
    assert shown[-1] == 255
    assert np.all(np.diff(shown.astype(int)) > 0)
    bytes_ = torch.arange(256).to(torch.uint8).reshape(-1, 1, 1, 1)
    np.testing.assert_array_equal(to_pixels(bytes_, DataSpec((1, 1, 1), levels=256)).ravel(), np.arange(256))


def test_continuous_images_share_one_window_and_strays_are_clipped() -> None:
    spec = DataSpec((1, 5, 7))
    x = torch.rand(50, 1, 5, 7, generator=torch.Generator().manual_seed(0))
    x[0, 0, 0, 0], x[1, 0, 0, 0], x[2, 0, 0, 0] = 1e6, torch.nan, torch.inf
    window = Window.of(spec, x)
    assert window.low == pytest.approx(0, abs=0.05)
    assert window.high == pytest.approx(1, abs=0.05)
    shown = to_pixels(x, spec, window)[..., 0]
    assert (shown[0, 0, 0], shown[1, 0, 0], shown[2, 0, 0]) == (255, 0, 255)
    constant = Window.of(spec, torch.full((3, 1, 5, 7), 2.0))
    assert constant.low < 2.0 < constant.high


@pytest.mark.parametrize("shape", [(2, 5, 7), (5, 7)], ids=["two-channels", "no-channel-axis"])
def test_other_channel_counts_are_drawn_side_by_side_in_grey(shape: tuple[int, ...]) -> None:
    spec = DataSpec(shape, levels=9)
    channels = shape[0] if len(shape) == 3 else 1
    assert to_pixels(examples(spec, 3), spec).shape == (3, 5, 7 * channels, 1)
    assert picture(examples(spec, 3), spec).mode == "L"


def test_strips_are_labelled_and_leave_the_paper_white() -> None:
    x = examples(GREY, 9)
    sheet = strips([Strip("linear", x[:4]), Strip("a much longer label", x[4:])], GREY)
    assert sheet.mode == "L"
    pixels = np.asarray(sheet)
    assert pixels[0, 0] == 255
    labels = pixels[:, :60]
    assert labels.min() < 60, "no label was drawn"
    longer = strips([Strip("linear", x[:4]), Strip("a much longer label than before", x[4:])], GREY)
    assert longer.width > sheet.width, "a label must not be cut"


def test_pairs_stand_one_above_the_other_and_touch() -> None:
    x = examples(COLOUR, 7)
    sheet = beside(x, 255 - x, COLOUR, columns=5)
    assert sheet.mode == "RGB"
    touching, apart = strips([Strip("a", x)] * 4, COLOUR, together=2), strips([Strip("a", x)] * 4, COLOUR)
    assert touching.height < apart.height
    custom = beside(x, x, COLOUR, columns=5, below="what the model makes of it")
    assert custom.width > sheet.width


def test_nothing_to_draw_is_an_error() -> None:
    with pytest.raises(DataError, match="at least one"):
        grid(examples(GREY, 0), GREY)
    with pytest.raises(DataError, match="at least one"):
        strips([Strip("empty", examples(GREY, 0))], GREY)


def test_one_call_draws_images_and_vectors() -> None:
    vector = DataSpec((4,), mean=(1.0, 2.0, 3.0, 4.0), scale=(0.5, 1.0, 2.0, 4.0), names=("a", "b", "c", "d"))
    for spec, x in ((GREY, examples(GREY, 6)), (vector, torch.randn(6, 4))):
        assert min(picture(x, spec).size) > 20
        assert min(rows([Strip("one", x), Strip("two", x[:3])], spec).size) > 20
        assert min(pairs(x, x, spec, columns=3).size) > 20
