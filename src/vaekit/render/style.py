"""How charts look. matplotlib is an extra, loaded when the first chart is drawn, and none of its global state is touched."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PIL import Image

from vaekit.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Told apart on white and on near-black paper, and (in this order) by most colour-blind readers.
CLASSES = (
    "#3b78c2",
    "#e07b39",
    "#3a9d5d",
    "#c94f6d",
    "#8a63c9",
    "#b08a2e",
    "#2fa3a8",
    "#d267b2",
    "#7a8694",
    "#8c5a3c",
)


@dataclass(frozen=True)
class Palette:
    """The colours of a chart: words and axes, what stands back, what the eye shall find, and the paper below."""

    ink: str = "#24292f"
    muted: str = "#7a828c"
    rule: str = "#d5d9de"
    accent: str = "#0a6ebd"
    paper: str = "#ffffff"


LIGHT = Palette()


def settings(palette: Palette) -> Any:
    """matplotlib's settings for one chart: thin axes on two sides, no boxes, transparent paper."""
    colours: Mapping[str, Any] = {
        "text.color": palette.ink,
        "axes.labelcolor": palette.ink,
        "axes.edgecolor": palette.muted,
        "xtick.color": palette.muted,
        "ytick.color": palette.muted,
        "xtick.labelcolor": palette.ink,
        "ytick.labelcolor": palette.ink,
        "grid.color": palette.rule,
        "legend.labelcolor": palette.ink,
    }
    return {
        **colours,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
        "savefig.facecolor": "none",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.linewidth": 0.8,
        "axes.titlesize": 11,
        "axes.titlelocation": "left",
        "axes.labelsize": 11,
        "axes.axisbelow": True,
        "xtick.labelsize": 10,
        "ytick.labelsize": 10,
        "font.size": 11,
        "font.family": "DejaVu Sans",
        "legend.frameon": False,
        "legend.fontsize": 10,
        "lines.linewidth": 1.8,
        "svg.fonttype": "none",
        "figure.constrained_layout.use": True,
    }


@contextmanager
def chart(width: float, height: float, palette: Palette = LIGHT) -> Iterator[Figure]:
    """An empty figure of `width` × `height` inches; its settings hold inside the `with`, where it is drawn on.

    Raises `MissingExtraError` where matplotlib is not installed.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "report", "drawing a chart") from None
    with matplotlib.rc_context(settings(palette)):
        figure = Figure(figsize=(width, height))
        yield figure
        figure.draw_without_rendering()  # ticks are made while drawing: they must find these settings


def ruled(axes: Axes, which: str = "y") -> None:
    """Quiet lines across, to read values by."""
    axes.grid(True, axis=which, linewidth=0.6)  # type: ignore[arg-type]
    axes.tick_params(length=3, width=0.8)


def to_picture(figure: Figure, dots_per_inch: int = 150) -> Image.Image:
    """A chart on white paper, as a picture."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dots_per_inch, facecolor="white")
    buffer.seek(0)
    picture = Image.open(buffer)
    picture.load()
    return picture.convert("RGB")
