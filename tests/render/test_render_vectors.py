"""What is drawn for data that is no image."""

import sys

import numpy as np
import pytest
import torch

from vaekit.core import DataSpec
from vaekit.errors import DataError, MissingExtraError
from vaekit.render import Strip, vectors
from vaekit.render.style import chart

TABLE = DataSpec((5,), mean=(0.0, 10.0, -3.0, 1.0, 2.0), scale=(1.0, 5.0, 0.1, 2.0, 3.0), names=tuple("vwxyz"))


def test_columns_are_compared_in_standard_deviations() -> None:
    x = torch.randn(4000, 5, generator=torch.Generator().manual_seed(1))
    data = x * torch.tensor(TABLE.scale) + torch.tensor(TABLE.mean)
    np.testing.assert_allclose(vectors.standardized(data, TABLE), x.numpy(), atol=1e-4)
    levels = DataSpec((5,), levels=3)
    np.testing.assert_allclose(vectors.standardized(torch.tensor([[0, 1, 2, 1, 0]]), levels), [[-1, 0, 1, 0, -1]])


def test_heat_maps_have_a_line_an_example_and_name_the_columns() -> None:
    figure = vectors.heats([Strip("first", torch.zeros(7, 5)), Strip("second", torch.zeros(3, 5))], TABLE)
    first, second = figure.axes[:2]
    assert first.images[0].get_array().shape == (7, 5)
    assert second.images[0].get_array().shape == (3, 5)
    assert [axes.get_title(loc="left") for axes in (first, second)] == ["first", "second"]
    assert [label.get_text() for label in second.get_xticklabels()] == list("vwxyz")


def test_lines_and_histograms_draw_every_panel() -> None:
    x = torch.randn(8, 5)
    assert sum(axes.get_visible() for axes in vectors.overlays(x, x, TABLE).axes) == 8
    figure = vectors.histograms(x, {"T = 0.5": x, "T = 1.0": x}, TABLE)
    assert [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()] == list("vwxyz")
    constant = DataSpec((2,), mean=(1.0, 1.0), scale=(1.0, 1.0))
    vectors.histograms(torch.ones(4, 2), {"T = 1.0": torch.ones(4, 2)}, constant)


def test_many_columns_are_counted_not_named() -> None:
    wide = DataSpec((40,), names=tuple(f"c{i}" for i in range(40)))
    figure = vectors.heats([Strip("", torch.zeros(3, 40))], wide)
    assert figure.axes[0].get_xlabel() == "column (of 40)"


def test_no_rows_and_no_matplotlib_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError):
        vectors.heats([], TABLE)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"vaekit\[report\]"), chart(1, 1):
        pass


def test_charts_leave_the_settings_of_matplotlib_alone() -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    vectors.heats([Strip("", torch.zeros(3, 5))], TABLE)
    assert dict(matplotlib.rcParams) == before
