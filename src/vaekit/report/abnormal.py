"""The section on what is abnormal: scores, the most and the least abnormal examples, why, and how well labels are found."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from vaekit.metrics.ranking import Ranking
from vaekit.render import as_colour, grid, overlay
from vaekit.report import charts, words
from vaekit.report.blocks import Plate, Row, Section, Table
from vaekit.report.embed import Panel, chart_panel, image_panel
from vaekit.report.pictures import STRIP, WIDE, Easel
from vaekit.run import Run
from vaekit.tasks.attribute import Attribution, attribute
from vaekit.tasks.detect import Detection, detect

MOST = 2000  # examples that are scored
LISTED, SHOWN = 8, 3  # rows of a table that are shown, most and least abnormal each; columns of each


@dataclass(frozen=True)
class Judged:
    """Scores of examples, and what makes the most and the least abnormal of them so."""

    found: Detection
    most: Attribution
    least: Attribution


def judge(run: Run, data: object, split: str, across: int, total: int) -> Judged:
    """Score some examples, and look at both ends; `across` of each. Raises as `detect` does."""
    found = detect(run, data, split, n=min(MOST, total), reasons=0)  # type: ignore[arg-type]
    order = found.most(found.n)
    count = min(across, max(1, found.n // 2))
    ends = [found.numbers[order[:count]], found.numbers[order.flip(0)[:count]]]
    most, least = (attribute(run, data, split, indices=rows.tolist()) for rows in ends)  # type: ignore[arg-type]
    return Judged(found, most, least)


def section(judged: Judged, easel: Easel) -> Section:
    """All of it."""
    found = judged.found
    plates = [
        Plate((chart_panel(charts.scores(*groups(found), found.threshold, axis(found)), told(found)),), words.SCORES)
    ]
    if (order := found.ranking()) is not None:
        plates.append(Plate(tuple(curves(order)), words.RANKING, "halves", "Against the labels"))
    tables: tuple[Table, ...] = ()
    if easel.images:
        plates += [
            Plate(tuple(strips(part, easel, which)), words.SURPRISES, "strips", title, together=3)
            for part, which, title in (
                (judged.most, "most abnormal", "The most abnormal"),
                (judged.least, "most normal", "The most normal"),
            )
        ]
    elif judged.most.nats.ndim == 2:
        ends = ((judged.most, "The most abnormal rows"), (judged.least, "The most normal rows"))
        tables = tuple(listed(found, part, title) for part, title in ends)
    return Section("abnormal", "Abnormal examples", lead(found), tuple(plates), tables, remarks=found.notes)


def lead(found: Detection) -> str:
    """What was scored, and which way the score points."""
    what = f"{found.n:,} examples, {found.count:,} of them with a p-value of at most {found.level:g}."
    return f"{what} The score is {found.score}: {found.words}. High is abnormal."


def told(found: Detection) -> str:
    """The histogram for those who cannot see it."""
    return f"Histograms of the score {found.score} of {found.calibration_rows} normal rows and of {found.n} examples."


def axis(found: Detection) -> str:
    """What stands below the scores."""
    return f"score ({found.unit})" if found.unit else "score"


def groups(found: Detection) -> tuple[Tensor, dict[str, Tensor]]:
    """The scores of the normal rows, and those of the examples: by their labels where these say what is abnormal."""
    truth = found.truth
    if truth is None or found.ranking() is None:
        return found.calibration, {"examples": found.scores}
    kinds = {"normal by label": found.scores[truth == 0], "abnormal by label": found.scores[truth == 1]}
    return found.calibration, kinds


def curves(order: Ranking) -> list[Panel]:
    """ROC, and precision against recall."""
    share = order.abnormal / (order.abnormal + order.normal)
    return [
        chart_panel(
            charts.step(order.false_positive_rate, order.recall, ("false-positive rate", "recall"), (0.0, 1.0)),
            f"ROC curve; the area below it is {order.auroc:.3f}.",
            f"ROC: area {order.auroc:.3f}",
        ),
        chart_panel(
            charts.step(order.recall, order.precision, ("recall", "precision"), (share, share)),
            f"Precision against recall; the average precision is {order.average_precision:.3f}.",
            f"precision and recall: average precision {order.average_precision:.3f}",
        ),
    ]


def strips(found: Attribution, easel: Easel, which: str) -> list[Panel]:
    """Examples, what was expected of them, and where they surprise."""
    spec, count = easel.spec, len(found.inputs)
    if spec.shape[0] not in (1, 3) or found.nats.ndim != 3:
        return [image_panel(easel.sheet(found.inputs, count, WIDE), f"The {count} {which} examples.", STRIP, which)]
    heat, coloured = overlay(found.inputs, found.nats, spec, easel.window)
    plain = [as_colour(x, spec, easel.window) for x in (found.inputs, found.expected)]
    names = (which, "expected", "surprise")
    alts = (
        f"The {count} {which} examples.",
        "What the model expects in their place.",
        "Where they differ from that, in red.",
    )
    return [
        image_panel(grid(x, coloured, count, factor=max(1, -(-WIDE // (count * x.shape[-1])))), alt, 2 * STRIP, name)
        for x, name, alt in zip([*plain, heat], names, alts, strict=True)
    ]


def listed(found: Detection, part: Attribution, title: str) -> Table:
    """Rows of a table, and the columns that cost them most."""
    names = found.spec.names or tuple(f"x{i}" for i in range(found.spec.dimensions))
    place = {name: position for position, name in enumerate(found.verdicts.ids)}
    gains, columns = part.nats.topk(min(SHOWN, part.nats.shape[1]), dim=1)
    body = []
    for i, name in enumerate(part.ids[:LISTED]):
        why = [
            f"{names[column]} is {part.inputs[i, column]:.4g}, expected {part.expected[i, column]:.4g} ({gain:.1f} nats)"
            for column, gain in zip(columns[i].tolist(), gains[i].tolist(), strict=True)
            if gain > 0
        ]
        score = f"{found.scores[place[name]]:.4g}, p = {found.p_values[place[name]]:.2g}"
        body.append(Row(name, score, "; ".join(why) or "nothing to repair"))
    return Table(title, tuple(body))
