"""The sections of the report, from what was gathered."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch

from vaekit import recipes
from vaekit.report import abnormal as unusual
from vaekit.report import charts, words
from vaekit.report.blocks import Fold, Layout, Plate, Section
from vaekit.report.embed import chart_panel
from vaekit.report.gather import Material, block, columns, most_common
from vaekit.report.latent import flatten
from vaekit.report.pictures import Easel
from vaekit.report.tables import commands, minus, run_tables, summary_tables
from vaekit.run import Run
from vaekit.tasks.findings import Diagnosis

ZOOM = 12  # epochs, from which on the end of training gets a chart of its own


def sections(material: Material) -> tuple[Section, ...]:
    """All of them, in order."""
    makers: tuple[Callable[[Material], Section], ...] = (
        summary,
        curves,
        reconstructions,
        samples,
        *((conditions,) if material.run.spec.context else ()),
        interpolations,
        traversals,
        latent_map,
        activity,
        abnormal,
        doctor,
        configuration,
        provenance,
    )
    return tuple(make(material) for make in makers)


def easel(material: Material) -> Easel:
    """What draws the examples."""
    return Easel(material.run.spec, material.window)


def absent(name: str, title: str, material: Material, key: str = "") -> Section:
    """A section without content, and why it has none; the data's reason is told once, in the summary."""
    reason, data = material.reasons.get(key or name, ""), material.reasons.get("data")
    if data is not None and reason == data:
        return Section(name, title, missing="This needs the data; see the summary.")
    return Section(name, title, missing=sentence(reason or "there is nothing to show"))


def sentence(text: str) -> str:
    """With a capital first letter."""
    return text[:1].upper() + text[1:]


def summary(material: Material) -> Section:
    """What it is, and the table of figures."""
    figures = material.figures
    if figures is None:
        return Section("summary", "Summary", words.INTRODUCTION, missing=sentence(material.reasons.get("figures", "")))
    path = material.run.path or "RUN"
    note: tuple[str, ...] = ()
    if figures.quick:
        n, total = figures.found.n, len(material.held.rows) if material.held else figures.found.n
        part = f"{n} of {total:,}" if n < total else f"all {n}"
        note = (
            f"Quick figures, made for this report on {part} examples with {figures.found.samples} samples each. "
            f"For the full ones run: vaekit evaluate {path}, then make the report again.",
        )
    return Section(
        "summary", "Summary", words.INTRODUCTION, tables=summary_tables(figures, material.run.spec), remarks=note
    )


def best_line(run: Run) -> Mapping[str, Any] | None:
    """The epoch whose weights are kept: the best on held-out data; None where nothing was held out."""
    validated = [line for line in run.history if line.get("validation")]
    return max(validated, key=lambda line: line["validation"]["elbo_nats"], default=None)


def curves(material: Material) -> Section:
    """How training went."""
    history, best = material.run.history, best_line(material.run)
    if not history:
        return Section("curves", "Training", missing="The run has no log (log.jsonl).")
    kept = int(best["epoch"]) if best else None
    lead = f"{len(history):,} epochs. The weights of epoch {kept} are kept: the best on held-out data." if best else ""
    beta = history[-1].get("beta", 1)
    if beta != 1:
        lead += f" At the end the loss weighed the KL with β = {beta:.3g}; the curves show the plain ELBO, with β = 1."
    labels = {"elbo_nats": "ELBO, nats", "log_likelihood_nats": "log p(x | z), nats", "kl_nats": "KL, nats"}
    panels = {
        key: chart_panel(
            charts.curve(history, key, label, kept),
            f"Line chart of {label} over {len(history)} epochs, training and held out{ending(history, key)}.",
            "all epochs" if key == "elbo_nats" and len(history) >= ZOOM else "",
        )
        for key, label in labels.items()
    }
    bound = [panels.pop("elbo_nats")]
    if len(history) >= ZOOM:
        since = int(history[len(history) // 2]["epoch"])
        chart = charts.curve(history, "elbo_nats", "ELBO, nats", kept, since)
        bound.append(chart_panel(chart, f"The same chart from epoch {since} on, enlarged.", f"from epoch {since} on"))
    plates = (
        Plate(tuple(bound), words.BOUND, "halves", "The bound"),
        Plate(tuple(panels.values()), words.TERMS, "halves", "Its two parts"),
    )
    return Section("curves", "Training", lead, plates)


def ending(history: list[dict[str, Any]], key: str) -> str:
    """The last held-out value, in words."""
    _, values = charts.series(history, "validation", key)
    return f"; held out it ends at {minus(f'{values[-1]:.2f}')}" if values else ""


def reconstructions(material: Material) -> Section:
    """Inputs beside what comes back."""
    name, title = "reconstructions", "Reconstructions"
    if material.pairs is None or material.held is None:
        return absent(name, title, material)
    draw = easel(material)
    caption = words.pairs(not draw.images, material.held.words, dimensions(material.run))
    layout: Layout = "pairs" if draw.images else "single"
    panels = draw.pairs(material.pairs, columns(material.run))
    return Section(name, title, plates=(Plate(panels, caption, layout),))


def dimensions(run: Run) -> int:
    """Numbers in one code."""
    return sum(math.prod(shape) for shape in run.latent_shapes.values())


def samples(material: Material) -> Section:
    """New examples at several temperatures."""
    name, title = "samples", "Samples"
    if not material.samples:
        return absent(name, title, material)
    draw = easel(material)
    examples = material.held.examples if material.held else None
    panels = draw.samples(material.samples, examples, block(material.run))
    caption = words.SAMPLES if draw.images else words.SAMPLES_OF_VECTORS
    layout: Layout = "thirds" if draw.images else "single"
    lead = "The data is not at hand: the lines stand alone." if examples is None and not draw.images else ""
    return Section(name, title, lead, plates=(Plate(panels, caption, layout),))


def conditions(material: Material) -> Section:
    """The same latents under every condition."""
    name, title, found = "conditions", "Conditions", material.styles
    if not found:
        return absent(name, title, material)
    draw = easel(material)
    caption = words.CONDITIONS if draw.images else words.CONDITIONS_OF_VECTORS
    layout: Layout = "strips" if draw.images else "single"
    return Section(name, title, plates=tuple(Plate(draw.styles(one), caption, layout) for one in found))


def interpolations(material: Material) -> Section:
    """Paths between examples."""
    name, title = "interpolations", "Interpolations"
    if not material.paths:
        return absent(name, title, material)
    draw = easel(material)
    panels = draw.paths(material.paths, material.run.spec.classes)
    if not draw.images:
        return Section(name, title, plates=(Plate(panels, words.PATHS_OF_VECTORS),))
    scale = ("first example", "half-way", "second example")
    return Section(
        name, title, plates=(Plate(panels, words.PATHS, "strips", scale=scale, together=len(material.paths)),)
    )


def traversals(material: Material) -> Section:
    """What single dimensions do."""
    name, title, sweep = "traversals", "Traversals", material.sweep
    if sweep is None:
        return absent(name, title, material)
    draw = easel(material)
    panels, scale = draw.sweep(sweep), ("−3", "0", "+3")
    total, count = dimensions(material.run), len(sweep.dimensions)
    strips, heats = Plate(panels, words.SWEEP, "strips", scale=scale), Plate(panels, words.SWEEP_OF_VECTORS)
    plate = strips if draw.images else heats
    lead = f"The {count} most active of {total} dimensions." if count < total and sweep.kl else ""
    under = most_common(material.run)
    lead = " ".join(part for part in (lead, f"Under {under[0]}." if under else "") if part)
    return Section(name, title, lead, (plate,))


def latent_map(material: Material) -> Section:
    """All codes at once."""
    name, title, found = "map", "Latent map", material.embedding
    if found is None:
        return absent(name, title, material)
    flat, model = flatten(found), material.run.config.model
    labels = None if found.labels is None else found.labels.tolist()
    circle = 2.0 if model.prior.name == "standard" and found.mean.shape[1] > 1 else None
    chart = charts.latent_map(flat.points.numpy(), labels, found.classes, (flat.across, flat.up), circle)
    alt = f"Scatter plot of the codes of {len(found.mean)} examples" + ("" if labels is None else ", coloured by label")
    lead = f"{len(found.mean):,} examples."
    if not math.isnan(flat.share):
        lead += f" The plane shows {flat.share:.0%} of the variance of the codes; distances along other directions are lost."
    caption = words.code_map(labels is not None, "label" in material.run.spec.context, bool(circle))
    plate = Plate((chart_panel(chart, f"{alt}."),), caption)
    return Section(name, title, lead, (plate,))


def activity(material: Material) -> Section:
    """KL of each dimension."""
    name, title, figures = "activity", "Use of the latent dimensions", material.figures
    if figures is None:
        return absent(name, title, material, "figures")
    kl = figures.found.kl_per_dimension
    if len(kl) < figures.found.latent_dimensions:
        return Section(name, title, missing="The prior has one KL for a whole code, and none for each dimension.")
    spread = torch.tensor(kl) if material.embedding is None else material.embedding.mean.var(0)
    # As many as were counted on all examples: those whose codes differ most.
    counted = set(spread.argsort(descending=True)[: figures.found.active_units].tolist())
    active = [number in counted for number in range(len(kl))]
    alt = f"Bar chart of the KL of {len(kl)} latent dimensions, largest first; {sum(active)} are active."
    plate = Plate((chart_panel(charts.kl_bars(kl, active), alt),), words.KL_BARS)
    return Section(name, title, plates=(plate,))


def abnormal(material: Material) -> Section:
    """Scores of examples, and the ends of the scale."""
    if material.judged is None:
        return absent("abnormal", "Abnormal examples", material)
    return unusual.section(material.judged, easel(material))


def doctor(material: Material) -> Section:
    """What is wrong with the run, and what to change."""
    name, title, found = "doctor", "Doctor", material.diagnosis
    if found is None:
        return absent(name, title, material)
    lead = "Nothing wrong was found. " if not found.findings else ""
    lead += f"Looked at: {', '.join(found.looked_at)}." if found.looked_at else ""
    return Section(name, title, lead, findings=found.findings, remarks=tuple(left_out(found)))


def left_out(found: Diagnosis) -> Iterator[str]:
    """What the doctor could not look at, and why; a sentence a reason."""
    checks: dict[str, list[str]] = {}
    for entry in found.left_out:
        check, _, reason = entry.rpartition(": ")
        checks.setdefault(reason, []).append(check)
    for reason, names in checks.items():
        yield f"Not looked at, since {reason}: {', '.join(names)}."


def configuration(material: Material) -> Section:
    """The whole configuration."""
    text = recipes.to_yaml(material.run.config.as_dict())
    lead = "Every setting of the run, defaults included. As a file it trains the same model again."
    return Section("configuration", "Configuration", lead, folds=(Fold("resolved configuration (YAML)", text),))


def provenance(material: Material) -> Section:
    """Data, model, versions, remarks, and what to type."""
    run = material.run
    lead = (
        ""
        if not run.info.in_memory
        else "The model was trained on arrays in memory. To train it again, or to measure it, hand them over again."
    )
    return Section(
        "provenance",
        "Where it comes from",
        lead,
        tables=run_tables(run),
        remarks=tuple(run.info.remarks),
        commands=commands(run),
    )
