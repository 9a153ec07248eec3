"""The page of a search: what was tried, what came of it, and what mattered."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from vaekit.render import write
from vaekit.render.style import chart, ruled
from vaekit.report import words
from vaekit.report.blocks import Caption, Page, Plate, Row, Section, Table, Tile
from vaekit.report.charts import HEIGHT, WIDTH
from vaekit.report.embed import THEMED, chart_panel
from vaekit.report.page import check_extras, to_html
from vaekit.tasks.study import TrialRecord, Tuned

NAME = "tuning.html"
MOST_SLICES = 8

HISTORY = Caption(
    "Every completed trial, in the order in which they began, and the best so far. The dashed line is the recipe as it is. "
    "Trials that fell behind were stopped and have no point; their numbers are missing.",
    "The line of the best rises early, then rarely: more trials would add little.",
    "It still rises at the end: give the search more time. It never leaves the dashed line: the recipe is good, or the space "
    "is too narrow.",
)
IMPORTANCES = Caption(
    "How much of what sets the best trials apart from the others is due to each field (PED-ANOVA, Watanabe et al., 2023).",
    "A few long bars: these fields are worth a finer search.",
    "All alike: the search has too few trials to tell, or nothing matters much.",
)
SLICES = Caption(
    "Completed trials by the value of each field. Later trials are darker; the best one has a ring.",
    "The best trials lie together, inside the range.",
    "The best lie at an end of the range: widen it (--space).",
)


def study_report(found: Tuned, path: str | Path | None = None) -> Path:
    """Write the page of a search, by default `tuning.html` in its directory. Raises as `report` does."""
    check_extras()
    path = Path(path) if path is not None else found.path / NAME
    write(path, to_html(lay_out(found)).encode())
    return path


def lay_out(found: Tuned) -> Page:
    """What was found, as a page."""
    now = datetime.now().astimezone()
    sections = (summary(found), history(found), importances(found), slices(found), trials(found))
    return Page(
        title=f"{found.name}: search",
        subtitle=f"{len(found.trials)} trials, for the {'highest' if found.higher_is_better else 'lowest'} {found.metric} "
        "on held-out (validation) data.",
        made=f"{now.day} {now:%B %Y}",
        tiles=tiles(found),
        sections=tuple(section for section in sections if section is not None),
        glossary=words.GLOSSARY,
    )


def tiles(found: Tuned) -> tuple[Tile, ...]:
    """The figures at the top."""
    done = sum(trial.state == "complete" for trial in found.trials)
    parts = [Tile("best", number(found.best.value), unit=f"{found.metric}, trial {found.best.number}")]
    if found.recipe is not None:
        parts.append(Tile("recipe", number(found.recipe.value), unit="as it is"))
    stopped = sum(trial.state == "pruned" for trial in found.trials)
    parts.append(Tile("trials", str(done), unit=f"completed; {stopped} stopped early"))
    return tuple(parts)


def number(value: float | None) -> str:
    """Five digits, with a real minus sign."""
    return "?" if value is None else f"{value:.5g}".replace("-", "−")


def shown(value: Any) -> str:
    """A field's value."""
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def summary(found: Tuned) -> Section:
    """The best configuration beside the recipe's."""
    own = found.recipe.params if found.recipe is not None else {}
    rows = tuple(
        Row(
            key,
            shown(value),
            f"the recipe has {shown(own[key])}; searched {found.space.get(key, '')}" if key in own else "",
        )
        for key, value in found.best.params.items()
    )
    lead = "The best trial is the recipe as it is." if found.best.recipe else "The fields of the best trial."
    commands = (f"vaekit train {found.config}", *((f"vaekit report {found.run}",) if found.run else ()))
    return Section("summary", "Best configuration", lead, tables=(Table("Fields", rows),), commands=commands)


def completed(found: Tuned) -> list[TrialRecord]:
    """The trials that have a value."""
    return [trial for trial in found.trials if trial.value is not None and math.isfinite(trial.value)]


def history(found: Tuned) -> Section:
    """Values in the order of the trials."""
    done = completed(found)
    numbers, values = [trial.number for trial in done], np.array([trial.value for trial in done], dtype=float)
    best = np.maximum.accumulate(values) if found.higher_is_better else np.minimum.accumulate(values)
    with chart(WIDTH * 1.2, HEIGHT, THEMED) as figure:
        axes = figure.subplots()
        if found.recipe is not None and found.recipe.value is not None:
            axes.axhline(found.recipe.value, color=THEMED.muted, linestyle="--", linewidth=1, label="recipe")
        axes.plot(numbers, values, "o", color=THEMED.muted, markersize=4, label="trial")
        axes.step(numbers, best, where="post", color=THEMED.accent, linewidth=1.8, label="best so far")
        axes.set_xlabel("trial")
        axes.set_ylabel(found.metric)
        axes.set_ylim(*window(values, found.higher_is_better))
        axes.locator_params(axis="x", integer=True)
        ruled(axes)
        figure.legend(loc="outside upper left", ncols=3, handlelength=1.5, borderpad=0)
    panel = chart_panel(figure, f"The {found.metric} of {len(done)} trials; the best is {number(found.best.value)}.")
    return Section("history", "History", plates=(Plate((panel,), HISTORY),))


def window(values: np.ndarray[Any, Any], higher: bool) -> tuple[float, float]:
    """Limits that show the better half of the values; a trial that went wrong would flatten all others."""
    best, middle = (values.max(), np.median(values)) if higher else (values.min(), np.median(values))
    reach = max(abs(best - middle) * 3, 1e-6 * max(1.0, abs(best)))
    return (best - reach, best + reach / 8) if higher else (best - reach / 8, best + reach)


def importances(found: Tuned) -> Section | None:
    """What mattered."""
    if not found.importances:
        return None
    names = list(found.importances)[::-1]
    with chart(WIDTH * 1.2, 0.6 + 0.32 * len(names), THEMED) as figure:
        axes = figure.subplots()
        axes.barh(names, [found.importances[name] for name in names], 0.6, color=THEMED.accent)
        axes.set_xlabel("importance; together 1")
        ruled(axes, "x")
    alt = "Bar chart of importances: " + ", ".join(f"{name} {found.importances[name]:.2f}" for name in reversed(names))
    return Section("importances", "What mattered", plates=(Plate((chart_panel(figure, f"{alt}."),), IMPORTANCES),))


def slices(found: Tuned) -> Section | None:
    """Values by each field."""
    done = [trial for trial in completed(found) if trial.params]
    keys = list(found.importances) or list(dict.fromkeys(key for trial in done for key in trial.params))
    keys = keys[:MOST_SLICES]
    if len(done) < 3 or not keys:
        return None
    panels = [chart_panel(slice_of(found, done, key), f"The {found.metric} of trials by {key}.", key) for key in keys]
    return Section("slices", "Field by field", plates=(Plate(tuple(panels), SLICES, "halves"),))


def slice_of(found: Tuned, done: list[TrialRecord], key: str) -> Any:
    """One field against the metric."""
    from matplotlib import ticker

    having = [trial for trial in done if key in trial.params]
    values = np.array([trial.value for trial in having], dtype=float)
    x, labels = positions([trial.params[key] for trial in having])
    age = np.linspace(0.25, 1.0, len(having))
    with chart(WIDTH, HEIGHT * 0.8, THEMED) as figure:
        axes = figure.subplots()
        for alpha, across, up in zip(age, x, values, strict=True):
            axes.plot(across, up, "o", color=THEMED.accent, alpha=float(alpha), markersize=5)
        best = next((i for i, trial in enumerate(having) if trial.number == found.best.number), None)
        if best is not None:
            axes.plot(x[best], values[best], "o", markersize=10, fillstyle="none", color=THEMED.ink)
        if labels is not None:
            axes.set_xticks(range(len(labels)), labels)
        elif min(x) > 0 and max(x) / min(x) > 8:
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1.0, 2.0, 5.0), numticks=6))
            axes.xaxis.set_major_formatter(ticker.FormatStrFormatter("%g"))
            axes.xaxis.set_minor_formatter(ticker.NullFormatter())
        else:
            axes.xaxis.set_major_locator(ticker.MaxNLocator(5))
        axes.set_xlabel(key)
        axes.set_ylabel(found.metric)
        axes.set_ylim(*window(values, found.higher_is_better))
        ruled(axes)
    return figure


def positions(values: list[Any]) -> tuple[list[float], list[str] | None]:
    """Where values stand: numbers at themselves, choices side by side with their names."""
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values) and len(set(values)) > 4:
        return [float(value) for value in values], None
    names = sorted({str(value) for value in values}, key=lambda name: (len(name), name))
    return [float(names.index(str(value))) for value in values], names


def trials(found: Tuned) -> Section:
    """All of them, the best first; and why some failed."""
    sign = -1 if found.higher_is_better else 1
    ranked = sorted(found.trials, key=lambda trial: math.inf if trial.value is None else sign * trial.value)
    body = tuple(
        Row(f"trial {trial.number}", number(trial.value) if trial.value is not None else trial.state, told(trial))
        for trial in ranked
    )
    return Section("trials", "All trials", tables=(Table("The best first", body),))


def told(trial: TrialRecord) -> str:
    """A trial's fields, or its error."""
    fields: Mapping[str, Any] = trial.params
    listed = ", ".join(f"{key} {shown(value)}" for key, value in fields.items()) or "the recipe as it is"
    return f"{trial.seconds:.0f} s; {trial.error or listed}"
