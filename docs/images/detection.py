"""The pictures of the page on detection.

    python docs/images/detection.py FOLDER

FOLDER is where the page's own commands were run, up to its section on scores (no `vaekit calibrate` yet): with
runs/table-anomaly, runs/image-anomaly, new.csv and photos/ in it.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib as mpl

import vaekit
from vaekit.render import Strip, Window, as_colour, overlay, rows
from vaekit.tasks.detect import Detection

HERE = Path(__file__).parent
GREY, RED, BLUE = "#9aa3ab", "#c8102e", "#33658a"
SHOWN = 12  # images side by side


def main(folder: str) -> None:
    """Draw all of them."""
    mpl.use("Agg")
    place = Path(folder)
    draw_defects(vaekit.load(place / "runs" / "image-anomaly"), place / "photos")
    table = vaekit.load(place / "runs" / "table-anomaly")
    found = vaekit.detect(table, place / "new.csv")
    draw_scores(found)
    draw_reasons(table, place / "new.csv")


def draw_defects(run: vaekit.Run, photos: Path) -> None:
    """The most abnormal images over what was expected of them, and where they surprise."""
    most = vaekit.detect(run, photos)
    found = vaekit.attribute(run, photos, indices=most.numbers[most.most(SHOWN)].tolist())
    window = Window.of(run.spec, found.inputs, found.expected)
    heat, coloured = overlay(found.inputs, found.nats, run.spec, window)
    plain = [as_colour(x, run.spec, window) for x in (found.inputs, found.expected)]
    names = ("most abnormal", "expected", "surprising")
    strips = [Strip(name, x) for name, x in zip(names, [*plain, heat], strict=True)]
    rows(strips, coloured, together=3).save(HERE / "defects.png")


def draw_scores(found: Detection) -> None:
    """Normal rows, the threshold, and one row with its p-value."""
    from matplotlib import pyplot

    normal, scores = found.calibration.numpy(), found.scores.numpy()
    one = 350  # a planted row of middling score
    beyond = int((normal >= scores[one]).sum())
    figure, axis = pyplot.subplots(figsize=(7, 2.9), dpi=110, layout="constrained")
    bins = [-3 + 0.2 * i for i in range(42)]
    axis.hist(normal, bins, color=GREY, label=f"{len(normal)} normal rows (calibration)")
    planted = [scores[i] for i in range(0, len(scores), 50)]
    axis.plot(planted, [2] * len(planted), "^", color=RED, ms=6, ls="none", label="hours with a hot bearing")
    axis.axvline(found.threshold, color="black", ls="--", lw=1)
    axis.set_ylim(0, 58)
    axis.text(found.threshold + 0.06, 56, "threshold: p = 0.05", va="top")
    p = f"(1 + {beyond}) / {len(normal) + 1} = {found.p_values[one]:.4f}"
    rows_score = "1 normal row\nscores" if beyond == 1 else f"{beyond} normal rows\nscore"
    text = f"hour {one}: {rows_score} as high, so\np = {p}"
    axis.annotate(text, (scores[one], 2.6), (scores[one] + 0.15, 18), arrowprops={"arrowstyle": "->"})
    axis.set(xlabel=f"score {found.score} (high is abnormal)", ylabel="rows", xlim=(-2.2, 5.4))
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(loc="upper left", frameon=False, fontsize=9)
    figure.savefig(HERE / "scores.png")
    pyplot.close(figure)


def draw_reasons(run: vaekit.Run, data: Path) -> None:
    """What each column of two rows costs."""
    from matplotlib import pyplot

    found = vaekit.attribute(run, data, indices=[0, 300])
    figure, axes = pyplot.subplots(1, 2, figsize=(8, 2.4), dpi=110, layout="constrained", sharex=True)
    for number, (axis, hour) in enumerate(zip(axes, (0, 300), strict=True)):
        nats = found.nats[number].tolist()
        places = list(range(len(nats)))
        axis.barh(places, nats, color=[RED if value > 5 else BLUE for value in nats])
        axis.set_yticks(places, run.spec.names)
        axis.invert_yaxis()
        axis.axvline(0, color="black", lw=0.8)
        axis.set_xlim(-1.5, 26)
        for place, value, is_, would in zip(
            places, nats, found.inputs[number].tolist(), found.expected[number].tolist(), strict=True
        ):
            axis.text(max(value, 0) + 0.3, place, f"{is_:.4g}, expected {would:.4g}", va="center", fontsize=8)
        axis.set(title=f"hour {hour}", xlabel="nats gained by the repair")
        axis.title.set_fontsize(10)
        axis.spines[["top", "right"]].set_visible(False)
    figure.savefig(HERE / "reasons.png")
    pyplot.close(figure)


if __name__ == "__main__":
    main(sys.argv[1])
