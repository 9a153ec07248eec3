"""The parts that a report is made of."""

from __future__ import annotations

import base64
import io
import math
import re

import numpy as np
import pytest
import torch
from PIL import Image

from vaekit.core import DataSpec
from vaekit.metrics import Estimate
from vaekit.render import Window
from vaekit.report import charts
from vaekit.report.embed import chart_panel, compressed, image_panel
from vaekit.report.gather import different
from vaekit.report.latent import flatten, principal
from vaekit.report.pictures import Easel
from vaekit.report.tables import written
from vaekit.tasks.embed import Embedding


def test_an_image_is_embedded_as_it_is_where_it_is_small() -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (40, 30, 3), dtype=np.uint8))
    panel = image_panel(picture, "noise", limit=10_000)
    content = base64.b64decode(panel.uri.split(",")[1])
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(content))), np.asarray(picture))
    assert (panel.width, panel.height) == (30, 40)


@pytest.mark.parametrize("limit", [200_000, 60_000])
def test_an_image_that_is_too_large_is_made_to_fit(limit: int) -> None:
    picture = Image.fromarray(np.random.default_rng(0).integers(0, 255, (500, 700, 3), dtype=np.uint8))
    kind, content = compressed(picture, limit)
    assert kind == "webp"
    assert len(content) <= limit


def test_numbers_that_are_read_are_not_rounded_and_coordinates_are() -> None:
    svg = chart_panel(charts.kl_bars([0.00375, 0.0], [True, False]), "bars").svg
    axis = [float(text) for text in re.findall(r">(\d\.\d+)</text>", svg)]
    assert len(axis) == len(set(axis)) > 3
    small = chart_panel(
        charts.curve([{"epoch": e, "train": {"kl_nats": 1e-3 * e}} for e in (1, 2, 3)], "kl_nats", "KL", None), "kl"
    )
    assert ">0.0025<" in small.svg
    assert not re.search(r'="[^"]*\d\.\d{3}', small.svg)


def test_a_curve_marks_the_epoch_that_is_kept_and_skips_what_was_not_validated() -> None:
    history = [
        {
            "epoch": epoch,
            "train": {"elbo_nats": -90.0 + epoch},
            "validation": {"elbo_nats": -95.0} if epoch % 2 else None,
        }
        for epoch in range(1, 8)
    ]
    assert charts.series(history, "validation", "elbo_nats")[0] == [1, 3, 5, 7]
    svg = chart_panel(charts.curve(history, "elbo_nats", "ELBO", 5), "curve").svg
    assert "kept (epoch 5)" in svg
    history[0]["train"]["elbo_nats"] = math.nan
    assert charts.series(history, "train", "elbo_nats")[0] == [2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("count", [5, 300])
def test_bars_say_how_many_dimensions_are_active(count: int) -> None:
    kl = [1 / (1 + i) for i in range(count)]
    svg = chart_panel(charts.kl_bars(kl, [i < 3 for i in range(count)]), "bars").svg
    assert ">active (3)<" in svg
    assert f">inactive ({count - 3})<" in svg


def test_a_map_names_classes_and_gathers_the_rare_ones() -> None:
    rng = np.random.default_rng(0)
    labels = [*range(23)] * 4 + [0] * 8 + [-1] * 3
    names = [f"a class with a long name {i}" for i in range(23)]
    figure = charts.latent_map(rng.normal(size=(len(labels), 2)), labels, names, ("across", "up"), 2.0)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert len(legend) == charts.NAMED_CLASSES + 1
    assert legend[0] == "others"
    assert all(len(text) <= 16 for text in legend)


def test_principal_components_are_those_of_numpy_and_keep_the_origin() -> None:
    z = torch.randn(200, 6, generator=torch.Generator().manual_seed(2)) * torch.tensor([3.0, 1, 2, 0.1, 0.5, 1]) + 0.7
    points, shares = principal(z)
    values = np.linalg.eigvalsh(np.cov(z.numpy().T))[::-1]
    np.testing.assert_allclose(points.var(0).numpy(), values[:2], rtol=1e-4)
    np.testing.assert_allclose(shares, values[:2] / values.sum(), rtol=1e-4)
    again, _ = principal(z[torch.randperm(200)])
    torch.testing.assert_close(points.sort(0).values, again.sort(0).values, rtol=1e-3, atol=1e-3)
    far, _ = principal(torch.cat([z, torch.zeros(1, 6)]))
    torch.testing.assert_close(far[-1], torch.zeros(2))


@pytest.mark.parametrize("d", [1, 2, 5])
def test_a_map_of_few_dimensions_shows_them_themselves(d: int) -> None:
    mean = torch.randn(9, d)
    flat = flatten(Embedding(mean, torch.full((9, d), 0.3), tuple(map(str, range(9)))))
    assert flat.points.shape == (9, 2)
    assert math.isnan(flat.share) == (d < 3)
    if d <= 2:
        torch.testing.assert_close(flat.points[:, :d], mean)


def test_constant_codes_do_not_break_the_map() -> None:
    points, shares = principal(torch.ones(4, 3))
    assert points.isfinite().all()
    assert shares == [0.0, 0.0]


def test_ends_of_a_path_are_of_different_classes_where_there_are_any() -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 2])
    assert different([(0, 1), (3, 4)], labels) == [(0, 3), (3, 5)]
    assert different([(0, 1)], None) == [(0, 1)]
    assert different([(0, 1)], torch.zeros(4, dtype=torch.long)) == [(0, 1)]


@pytest.mark.parametrize("shape", [(1, 8, 6), (3, 40, 130), (2, 9, 5), (7, 7)])
def test_a_sheet_is_as_wide_as_asked_or_nearly_so(shape: tuple[int, ...]) -> None:
    spec = DataSpec(shape, levels=4)
    easel = Easel(spec, Window(0, 3))
    assert easel.images
    sheet = easel.sheet(torch.zeros(9, *shape), 3, 600)
    assert 600 <= sheet.width < 1000


def test_figures_are_written_with_the_digits_they_deserve() -> None:
    assert written(Estimate(-86.4321, 0.6543, 100)) == ("−86.43", "0.65")
    assert written(Estimate(12.0, math.nan, 1)) == ("12", "")
