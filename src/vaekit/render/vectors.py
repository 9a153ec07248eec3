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
    from matplotlib.axes import Axes
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


def heats(
    rows: Sequence[Strip],
    spec: DataSpec,
    palette: Palette = LIGHT,
    *,
    width: float = 6.4,
    line: float = 0.16,
    ends: tuple[str, str] | None = None,
) -> Figure:
    """A heat map for each of `rows`: an example a line, a column of the data a column, one colour scale for all.

    Args:
        rows: what is drawn, `(n, *shape)` each, in data units.
        spec: what the data is.
        palette: the colours of words.
        width: of the figure, in inches.
        line: the height of an example, in inches.
        ends: what the first and the last example of each row are called.
    """
    if not rows or not all(len(row.x) for row in rows):
        raise DataError("expected at least one example to draw, got none")
    limit, count = (1.0 if spec.levels is not None else 2.5), spec.dimensions
    heights = [max(0.4, line * len(row.x)) + 0.25 for row in rows]
    with chart(width, sum(heights) + 1.1, palette) as figure:
        all_axes = figure.subplots(len(rows), 1, squeeze=False, sharex=True, height_ratios=heights)[:, 0]
        for axes, row in zip(all_axes, rows, strict=True):
            frame = (0.5, count + 0.5, len(row.x) - 0.5, -0.5)
            values = standardized(row.x, spec)
            shown = axes.imshow(
                values, cmap=diverging(), vmin=-limit, vmax=limit, extent=frame, aspect="auto", interpolation="none"
            )
            axes.set_title(row.label)
            axes.set_yticks([0, len(row.x) - 1] if ends else [], ends or [])
            axes.tick_params(axis="y", length=0)
            axes.spines[:].set_visible(False)
        name_columns(all_axes[-1], spec)
        scale_bar(figure, shown, spec)
    return figure


def scale_bar(figure: Figure, shown: Any, spec: DataSpec) -> None:
    """What the colours mean, below everything else."""
    words = "level" if spec.levels is not None else "standard deviations from the data's mean"
    bar = figure.colorbar(shown, ax=figure.axes, location="bottom", aspect=50, shrink=0.6, label=words)
    bar.outline.set_visible(False)
    if spec.levels is not None:
        bar.set_ticks([-1, 1], labels=["0", str(spec.levels - 1)])


def diverging() -> Any:
    """Blue below the mean, orange above it, near white at it."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("below-above", DIVERGING)


def name_columns(axes: Axes, spec: DataSpec) -> None:
    """The names of the columns below an axis, where they are few; else their numbers, from 1, and how many there are."""
    if spec.dimensions <= NAMED:
        names = column_names(spec)
        long = max(len(name) for name in names) > 4
        places = range(1, spec.dimensions + 1)
        axes.set_xticks(places, names, rotation=35 if long else 0, ha="right" if long else "center")
    else:
        axes.locator_params(axis="x", integer=True)
    axes.set_xlabel("column" if spec.dimensions <= NAMED else f"column (of {spec.dimensions})")


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
        places = range(1, spec.dimensions + 1)
        dots: Any = {"marker": "o", "markersize": 3} if spec.dimensions <= 40 else {}
        for axes, before, after in zip(panels, below, above, strict=False):
            axes.plot(places, before, color=palette.muted, linewidth=2.4, label="input", **dots)
            axes.plot(places, after, color=palette.accent, linewidth=1.3, label="reconstruction", **dots)
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
    data: Tensor | None,
    samples: Mapping[str, Tensor],
    spec: DataSpec,
    palette: Palette = LIGHT,
    *,
    width: float = 6.4,
) -> Figure:
    """How often each value comes: the data filled in (if it is given), samples as lines; a panel for each column, 9 at most.

    Stray values are counted at the edges, so that a few of them do not press all others together.
    """
    columns = min(spec.dimensions, 9)
    across = min(columns, 2 if width < 5 else 3)
    down = -(-columns // across)
    drawn = {label: flat(x) for label, x in samples.items()}
    truth = flat(data) if data is not None else None
    names = column_names(spec)
    with chart(width, 1.5 * down + 0.7, palette) as figure:
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for column, axes in enumerate(panels):
            axes.set_visible(column < columns)
            axes.set_yticks([])
            axes.spines["left"].set_visible(False)
        for column, axes in zip(range(columns), panels, strict=False):
            edges = bins((truth if truth is not None else drawn[next(iter(drawn))])[:, column])
            if truth is not None:
                count(axes, truth[:, column], edges, color=palette.rule, label="data")
            for (label, x), dashes in zip(drawn.items(), (":", "--", "-"), strict=False):
                count(axes, x[:, column], edges, histtype="step", color=palette.accent, linestyle=dashes, label=label)
            axes.set_title(names[column] if names[column] != str(column + 1) else f"column {column + 1}")
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=4)
    return figure


def count(axes: Axes, values: Floats, edges: Floats, **options: Any) -> None:
    """One histogram, its area one."""
    values = values[np.isfinite(values)].clip(edges[0], edges[-1])
    weights = np.full(len(values), 1 / max(1, len(values)))
    axes.hist(values, edges.tolist(), weights=weights, **options)


def bins(values: Floats) -> Floats:
    """Edges for a histogram: a fixed number over nearly all values, without the strays."""
    low, high = (float(value) for value in np.quantile(values[np.isfinite(values)], [0.005, 0.995]))
    if high <= low:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, 25)
