"""Data without a picture (rows of a table, any vector): heat maps, lines and histograms instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from torch import Tensor

from vaekit.core import DataSpec
from vaekit.errors import DataError
from vaekit.render.grid import Strip
from vaekit.render.style import LIGHT, Palette, chart, ruled

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Floats = npt.NDArray[np.float64]
NAMED = 12  # at most so many columns are named on an axis
DIVERGING = ("#1f5f99", "#7fb0d8", "#f1f1ef", "#e3a07f", "#b2462f")


def flat(x: Tensor) -> Floats:
    """`(n, *shape)` → `(n, D)`."""
    return np.asarray(x.detach().double().cpu().flatten(1).numpy())


def column_names(spec: DataSpec) -> list[str]:
    """What the columns are called: their names, or their numbers from 1."""
    names = spec.names if len(spec.names) == spec.dimensions else range(1, spec.dimensions + 1)
    return [str(name) for name in names]


def standardized(x: Tensor, spec: DataSpec) -> Floats:
    """`(n, D)` in comparable units: standard deviations from the data's mean, or levels as a share of −1 … 1."""
    if spec.levels is not None:
        return flat(x) / (spec.levels - 1) * 2 - 1
    per_column = spec.dimensions // spec.shape[0]
    mean, scale = (np.asarray(values, dtype=np.float64) for values in (spec.mean, spec.scale))
    repeats = per_column if len(mean) > 1 else 1
    return (flat(x) - mean.repeat(repeats)) / scale.repeat(repeats)


def heats(rows: Sequence[Strip], spec: DataSpec, palette: Palette = LIGHT, *, width: float = 6.4) -> Figure:
    """A heat map for each of `rows`: an example a line, a column of the data a column, one colour scale for all."""
    if not rows:
        raise DataError("expected at least one example to draw, got none")
    limit = 1.0 if spec.levels is not None else 2.5
    heights = [max(0.55, 0.16 * len(row.x)) + 0.35 for row in rows]
    with chart(width, sum(heights) + 0.9, palette) as figure:
        all_axes = figure.subplots(len(rows), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        for axes, row in zip(all_axes, rows, strict=True):
            shown = axes.imshow(
                standardized(row.x, spec),
                aspect="auto",
                cmap=diverging(),
                vmin=-limit,
                vmax=limit,
                interpolation="none",
            )
            axes.set_title(row.label)
            axes.set_yticks([])
            for spine in axes.spines.values():
                spine.set_visible(False)
        name_columns(all_axes[-1], spec)
        words = "level" if spec.levels is not None else "standard deviations from the data's mean"
        bar = figure.colorbar(shown, ax=list(all_axes), location="bottom", aspect=50, shrink=0.6, label=words)
        bar.outline.set_visible(False)
        if spec.levels is not None:
            bar.set_ticks([-1, 1], labels=["0", str(spec.levels - 1)])
    return figure


def diverging() -> Any:
    """Blue below the mean, orange above it, near white at it."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("below-above", DIVERGING)


def name_columns(axes: Any, spec: DataSpec) -> None:
    """The names of the columns below an axis, where they are few; else how many there are."""
    if spec.dimensions <= NAMED:
        names = column_names(spec)
        long = max(len(name) for name in names) > 4
        axes.set_xticks(range(spec.dimensions), names, rotation=35 if long else 0, ha="right" if long else "center")
    axes.set_xlabel("column of the data" if spec.dimensions <= NAMED else f"column (of {spec.dimensions})")


def overlays(
    inputs: Tensor, outputs: Tensor, spec: DataSpec, palette: Palette = LIGHT, *, width: float = 6.4
) -> Figure:
    """Each input as a line over its columns, with its reconstruction drawn upon it; `(n, *shape)` each."""
    count = len(inputs)
    across = min(count, 2 if width < 5 else 3)
    down = -(-count // across)
    with chart(width, 1.35 * down + 0.8, palette) as figure:
        panels = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True).ravel()
        below, above = standardized(inputs, spec), standardized(outputs, spec)
        dots = {"marker": "o", "markersize": 3} if spec.dimensions <= 40 else {}
        for axes, before, after in zip(panels, below, above, strict=False):
            axes.plot(before, color=palette.muted, linewidth=2.4, label="input", **dots)
            axes.plot(after, color=palette.accent, linewidth=1.3, label="reconstruction", **dots)
            ruled(axes)
        for axes in panels[count:]:
            axes.set_visible(False)
        for axes in panels[max(0, count - across) : count]:
            axes.tick_params(labelbottom=True)
            name_columns(axes, spec)
        figure.supylabel("standard deviations" if spec.levels is None else "level, scaled", fontsize=11)
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure


def histograms(
    data: Tensor, samples: Mapping[str, Tensor], spec: DataSpec, palette: Palette = LIGHT, *, width: float = 6.4
) -> Figure:
    """How often each value comes: the data filled in, samples as lines over it; a panel for each of the first columns."""
    columns = min(spec.dimensions, 9)
    across = min(columns, 2 if width < 5 else 3)
    down = -(-columns // across)
    with chart(width, 1.5 * down + 0.7, palette) as figure:
        panels = figure.subplots(down, across, squeeze=False).ravel()
        names, truth = column_names(spec), flat(data)
        for column, axes in enumerate(panels):
            axes.set_visible(column < columns)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
        for column, axes in zip(range(columns), panels, strict=False):
            edges = bins(truth[:, column])
            axes.hist(truth[:, column], edges, density=True, color=palette.rule, label="data")
            for (label, x), dashes in zip(samples.items(), ("-", "--", ":"), strict=False):
                values = flat(x)[:, column].clip(edges[0], edges[-1])
                axes.hist(
                    values, edges, density=True, histtype="step", color=palette.accent, linestyle=dashes, label=label
                )
            axes.set_title(names[column])
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def bins(values: Floats) -> Floats:
    """Edges for a histogram: from the lowest to the highest value, a fixed number."""
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, 25)
