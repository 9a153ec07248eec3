"""The charts of the report, drawn with matplotlib in the colours of a palette."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vaekit.render.style import CLASSES, chart, ruled
from vaekit.report.embed import THEMED

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from torch import Tensor

Floats = npt.NDArray[np.floating[Any]]
WIDTH, HEIGHT = 5.0, 3.1  # inches: 360 × 223 units of the SVG; as wide as a telephone
NAMED_CLASSES = 20
SEPARATE, NUMBERED = 64, 24  # bars, at most, that stand singly; that have a number


def series(history: Sequence[Mapping[str, Any]], part: str, key: str) -> tuple[list[int], list[float]]:
    """Epochs and values of one term, where the log has it."""
    found = [(line["epoch"], line[part][key]) for line in history if line.get(part)]
    found = [(epoch, value) for epoch, value in found if value is not None and np.isfinite(value)]
    return [epoch for epoch, _ in found], [value for _, value in found]


def curve(history: Sequence[Mapping[str, Any]], key: str, label: str, best: int | None, since: int = 0) -> Figure:
    """A term of the bound over the epochs, on training data and held out; the epoch whose weights are kept is marked."""
    with chart(WIDTH, HEIGHT, THEMED) as figure:
        axes = figure.subplots()
        for part, words, colour, width in (
            ("train", "training", THEMED.muted, 1.6),
            ("validation", "held out", THEMED.accent, 2.0),
        ):
            epochs, values = series([line for line in history if line["epoch"] >= since], part, key)
            few: dict[str, Any] = {"marker": "o", "markersize": 3.5} if len(epochs) < 12 else {}
            if epochs:
                axes.plot(epochs, values, color=colour, linewidth=width, label=words, **few)
            if part == "validation" and best in epochs:
                axes.plot(
                    best, values[epochs.index(best)], "o", color=colour, markersize=6.5, label=f"kept (epoch {best})"
                )
        axes.set_xlabel("epoch")
        axes.set_ylabel(label)
        axes.locator_params(axis="x", integer=True)
        ruled(axes)
        figure.legend(loc="outside upper left", ncols=3, handlelength=1.5, columnspacing=1.2, borderpad=0)
    return figure


def kl_bars(kl: Sequence[float], active: Sequence[bool]) -> Figure:
    """KL of each latent dimension, largest first; dimensions that say something about the data are filled."""
    order = sorted(range(len(kl)), key=lambda i: -kl[i])
    heights, marked = np.maximum([kl[i] for i in order], 0), np.array([bool(active[i]) for i in order])
    with chart(WIDTH * 1.2, HEIGHT, THEMED) as figure:
        axes = figure.subplots()
        inactive = {"facecolor": THEMED.rule, "edgecolor": THEMED.muted}
        for chosen, name, colours in ((marked, "active", {"color": THEMED.accent}), (~marked, "inactive", inactive)):
            if chosen.any():
                bars(axes, heights, chosen, f"{name} ({chosen.sum()})", colours)
        if len(kl) <= NUMBERED:
            axes.set_xticks(range(1, len(kl) + 1), [f"{i}" for i in order])
            axes.set_xlabel("latent dimension (its number), largest first")
        else:
            axes.set_xlabel(f"{len(kl)} latent dimensions, largest first")
            axes.locator_params(axis="x", integer=True)
        axes.set_ylabel("KL, nats per example")
        axes.set_ylim(0, max(float(heights.max()) * 1.05, 0.1))
        axes.margins(x=0.02)
        ruled(axes)
        figure.legend(loc="outside upper left", ncols=2, handlelength=1.2, borderpad=0)
    return figure


def scores(normal: Tensor, groups: Mapping[str, Tensor], threshold: float, axis: str) -> Figure:
    """Histograms of scores, each with an area of one: of normal rows, and of groups of examples; the threshold is marked."""
    together = np.concatenate([normal.numpy(), *(values.numpy() for values in groups.values())])
    low, high = np.quantile(together, [0.0, 0.995]).tolist()
    edges = np.linspace(low, high if high > low else low + 1, 41).tolist()
    colours = (THEMED.accent, CLASSES[1])
    with chart(WIDTH * 1.2, HEIGHT, THEMED) as figure:
        axes = figure.subplots()
        clipped = np.clip(normal.numpy(), edges[0], edges[-1])
        axes.hist(clipped, edges, density=True, color=THEMED.rule, label="normal rows compared with")
        for (name, values), colour in zip(groups.items(), colours, strict=False):
            clipped = np.clip(values.numpy(), edges[0], edges[-1])
            axes.hist(clipped, edges, density=True, histtype="step", color=colour, linewidth=1.8, label=name)
        if np.isfinite(threshold):
            axes.axvline(threshold, color=THEMED.ink, linestyle="--", linewidth=1, label="threshold")
        axes.set_xlabel(f"{axis}; the last bar holds all that is higher")
        axes.set_ylabel("density")
        ruled(axes)
        figure.legend(loc="outside upper left", ncols=2, handlelength=1.5, columnspacing=1.2, borderpad=0)
    return figure


def step(x: Tensor, y: Tensor, names: tuple[str, str], chance: tuple[float, float]) -> Figure:
    """A curve in the unit square, and what a coin would give, dashed."""
    with chart(WIDTH, HEIGHT, THEMED) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], chance, "--", color=THEMED.muted, linewidth=1)
        axes.plot(
            [0.0, *x.tolist()], [y[0].item() if chance[0] == chance[1] else 0.0, *y.tolist()], color=THEMED.accent
        )
        axes.set_xlim(0, 1)
        axes.set_ylim(0, 1.02)
        axes.set_xlabel(names[0])
        axes.set_ylabel(names[1])
        ruled(axes)
    return figure


def bars(axes: Axes, heights: Floats, chosen: npt.NDArray[np.bool_], label: str, colours: Any) -> None:
    """Some of the bars: singly where they are few; as one shape where they are many, which would flicker on the screen."""
    if len(heights) <= SEPARATE:
        axes.bar(np.arange(1, len(heights) + 1)[chosen], heights[chosen], 0.8, label=label, linewidth=0.6, **colours)
    else:
        edges = np.arange(len(heights) + 1) + 0.5
        axes.stairs(np.where(chosen, heights, 0.0), edges, fill=True, label=label, linewidth=0.4, **colours)


def latent_map(
    points: Floats,
    labels: Sequence[int] | None,
    classes: Sequence[str],
    axis_names: tuple[str, str],
    circle: float | None,
) -> Figure:
    """Points in the plane `(n, 2)`, coloured by label; a dashed circle of that radius where the prior lies."""
    with chart(WIDTH * 1.2, WIDTH, THEMED) as figure:
        axes = figure.subplots()
        if labels is None:
            scatter(axes, points, THEMED.accent, None)
        else:
            by_class(axes, points, np.asarray(labels), classes)
            figure.legend(loc="outside right upper", handletextpad=0.1, labelspacing=0.3, markerscale=1.8, borderpad=0)
        if circle is not None:
            angle = np.linspace(0, 2 * np.pi, 181)
            axes.plot(circle * np.cos(angle), circle * np.sin(angle), "--", color=THEMED.muted, linewidth=1)
        axes.set_aspect("equal", adjustable="datalim")
        axes.set_xlabel(axis_names[0])
        axes.set_ylabel(axis_names[1])
        ruled(axes, "both")
    return figure


def by_class(axes: Axes, points: Floats, labels: npt.NDArray[Any], classes: Sequence[str]) -> None:
    """Every class in a colour, the second ten with another mark; classes beyond those together, in grey."""
    present = sorted(set(labels.tolist()) - {-1}, key=lambda label: (-int((labels == label).sum()), label))
    named, rest = sorted(present[:NAMED_CLASSES]), {-1, *present[NAMED_CLASSES:]}
    others = np.isin(labels, list(rest))
    if others.any():
        scatter(axes, points[others], THEMED.muted, "others" if len(rest) > 1 else "no label")
    for number, label in enumerate(named):
        words = classes[label] if label < len(classes) else str(label)
        shown = words if len(words) < 16 else words[:14] + "…"
        colour = CLASSES[number % 10]
        scatter(axes, points[labels == label], colour, shown, "o" if number < 10 else "^")
        if len(shown) <= 3:
            name_at(axes, np.median(points[labels == label], axis=0), shown, colour)


def name_at(axes: Axes, place: Floats, name: str, colour: str) -> None:
    """A short name in the middle of its class, so that colours need not be told apart."""
    from matplotlib.patheffects import withStroke

    halo = withStroke(linewidth=3.5, foreground=THEMED.paper)
    axes.text(
        place[0], place[1], name, color=colour, weight="bold", size=13, ha="center", va="center", path_effects=[halo]
    )


def scatter(axes: Axes, points: Floats, colour: str, label: str | None, marker: str = "o") -> None:
    """Small marks, see-through where they lie one upon the other."""
    axes.scatter(points[:, 0], points[:, 1], 13, c=colour, alpha=0.75, linewidths=0, label=label, marker=marker)
