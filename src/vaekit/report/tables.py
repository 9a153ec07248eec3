"""Figures and facts as tables."""

from __future__ import annotations

import math
import platform
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

import numpy
import torch

import vaekit
from vaekit.core import DataSpec
from vaekit.metrics import Estimate
from vaekit.metrics.estimate import digits
from vaekit.report.blocks import Row, Table, Tile
from vaekit.report.gather import Figures
from vaekit.run import Run
from vaekit.tasks.evaluate import ByClass, Evaluation

ENDS = {
    "finished": "all epochs were done",
    "time": "the time was used up",
    "patience": "no better held-out ELBO for a while",
    "interrupted": "it was interrupted",
    "": "it has not ended",
}


def tiles(figures: Figures | None, best: Mapping[str, Any] | None) -> tuple[Tile, ...]:
    """The key figures: of the evaluation, else of the best epoch on held-out data."""
    if figures is None:
        if best is None:
            return ()
        held = best["validation"]
        return (tile("ELBO, held out", Estimate(held["elbo_nats"], held["stderr"], held["n"]), "nats per example"),)
    found = figures.found
    bits = (
        ()
        if math.isnan(found.bits_per_dim.mean)
        else (tile("bits per dimension", found.bits_per_dim, "lower is better"),)
    )
    return (
        tile("ELBO", found.elbo_nats, "nats per example"),
        tile("importance-weighted bound", found.importance_weighted_nats, f"nats per example, {found.samples} samples"),
        *bits,
        Tile("active dimensions", str(found.active_units), unit=f"of {found.latent_dimensions}"),
    )


def tile(name: str, estimate: Estimate, unit: str) -> Tile:
    """A figure with its error set apart."""
    return Tile(name, *written(estimate), unit)


def written(estimate: Estimate) -> tuple[str, str]:
    """A mean and its standard error with the digits they deserve, and thousands apart; no error for one example.

    >>> written(Estimate(-262544.6, 2134.2, 30)), written(Estimate(1.90214, 0.01372, 359))
    (('−262,545', '2,100'), ('1.902', '0.014'))
    """
    if not math.isfinite(estimate.stderr):
        return minus(f"{estimate.mean:,.4g}"), ""
    places = digits(estimate.stderr)
    error = estimate.stderr if places else float(f"{estimate.stderr:.2g}")
    return minus(f"{estimate.mean:,.{places}f}"), f"{error:,.{places}f}"


def minus(text: str) -> str:
    """With the sign for minus instead of a hyphen."""
    return f"−{text[1:]}" if text.startswith("-") else text


def subtitle(run: Run) -> str:
    """What it is, in a line."""
    info, model = run.info, run.config.model
    count = model.latent[0]
    latent = counted(count, "latent dimension") if len(model.latent) == 1 else f"latent map {times(model.latent)}"
    return (
        f"A variational autoencoder on {info.dataset} ({example(info.spec)}): {latent}, "
        f"{model.encoder.name} encoder, {model.decoder.name} decoder, {model.likelihood.name} likelihood."
    )


def counted(count: int, noun: str) -> str:
    """
    >>> counted(1, "row"), counted(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def summary_tables(figures: Figures, spec: DataSpec) -> tuple[Table, ...]:
    """The figures, and those of every class of a conditional model."""
    table, found = figures_table(figures, spec), figures.found.by_class
    return (table,) if found is None else (table, class_table(found))


def class_table(found: ByClass) -> Table:
    """A conditional model where the class is not given, and class by class."""
    name = found.entry
    lines = [
        Row(
            f"importance-weighted bound without the {name}",
            with_unit(found.marginal_nats, "nats"),
            f"The bound on log p(x), nothing given: the sum over every {name}, weighted as in training. It compares with "
            "models without conditions.",
        )
    ]
    if found.accuracy is not None:
        meaning = f"How often the most likely {name} by Bayes' rule is the right one. The model was not trained for it."
        lines.append(Row(f"recognized {name}", with_unit(found.accuracy, ""), meaning))
    lines += [
        Row(f"{name} {part.name}", with_unit(part.importance_weighted_nats, "nats"), f"{part.accuracy:.1%} recognized.")
        for part in found.classes
    ]
    return Table(f"By {name}", tuple(lines), note=f"Bounds on log p(x | {name}) of the examples of each {name}.")


def figures_table(figures: Figures, spec: DataSpec) -> Table:
    """Everything that was measured, and what it means."""
    found = figures.found
    code = "The bound as a code length for each number of the data. Lower is better."
    density = "The bound for each number of the data; of a density, so it may be negative. Lower is better."
    rows = [
        ("ELBO", found.elbo_nats, "nats", f"Lower bound on {density_of(spec)}. Higher is better."),
        (
            f"importance-weighted bound (K = {found.samples})",
            found.importance_weighted_nats,
            "nats",
            f"A tighter bound on {density_of(spec)}. Compare models by this one.",
        ),
        (
            "bits per dimension",
            found.bits_per_dim,
            "bits",
            code if spec.levels is not None else density,
        ),
        ("log p(x | z)", found.log_likelihood_nats, "nats", "How well examples are rebuilt."),
        ("KL", found.kl_nats, "nats", "What the code costs."),
        (
            "PSNR",
            found.psnr_db,
            "dB",
            "How near reconstructions are, pixel by pixel. Higher is better.",
        ),
        ("SSIM", found.ssim, "", "How alike structures are. 1 is identical."),
        ("MS-SSIM", found.ms_ssim, "", f"The same at {found.ms_ssim_scales} sizes."),
        ("mean squared error", found.mse, "", "Of reconstructions, in squared units of the data."),
        (
            "effective samples",
            found.effective_samples,
            "",
            f"How many of the {found.samples} samples weigh in. Near 1, the bound is still loose.",
        ),
    ]
    lines = [Row(name, with_unit(value, unit), text) for name, value, unit, text in rows if value is not None]
    total = found.latent_dimensions
    lines += [
        Row("active dimensions", f"{found.active_units} of {total}", "Dimensions that say something about the data."),
        Row("effective dimensions", f"{found.effective_dimensions:.1f}", "Over how many the KL is spread, if evenly."),
    ]
    return Table("Figures", tuple(lines), note=measured_on(found))


def density_of(spec: DataSpec) -> str:
    """What the bounds are on: given the entries of the context, if there are any.

    >>> density_of(DataSpec((5,)))
    'log p(x)'
    """
    return f"log p(x | {', '.join(spec.context)})" if spec.context else "log p(x)"


def with_unit(estimate: Estimate, unit: str) -> str:
    """A figure with error and unit."""
    value, error = written(estimate)
    return " ".join([value, *(["±", error] if error else []), *([unit] if unit else [])])


def measured_on(found: Evaluation) -> str:
    """On what, in words."""
    split = f" ({found.split} split)" if found.split else ""
    words = f"Mean ± standard error over {found.n:,} examples of {found.dataset}{split}. {capital(found.units)}."
    return " ".join([words, *(f"{capital(note)}." for note in found.notes)])


def capital(text: str) -> str:
    """With a capital first letter, and no full stop."""
    return text[:1].upper() + text[1:].rstrip(".")


def run_tables(run: Run) -> tuple[Table, ...]:
    """What the run is: data, model and training, versions."""
    info = run.info
    data = Table("Data", (
        Row("data set", info.dataset),
        Row("examples", ", ".join(f"{count:,} {split}" for split, count in info.sizes.items())),
        Row("kind", example(info.spec)),
        Row("fingerprint", info.fingerprint),
    ))  # fmt: skip
    model = run.config.model
    parts = ("encoder", "decoder", "posterior", "prior", "likelihood")
    training = Table("Model and training", (
        Row("latent", times(model.latent)),
        *(Row(part, getattr(model, part).name) for part in parts),
        Row("objective", ", ".join([run.config.objective.name, *named(run.config.objective.params)])),
        Row("parameters", f"{info.parameters:,}"),
        Row("training", f"{counted(len(run.history), 'epoch')}, {counted(info.steps, 'step')}, {duration(info.seconds)}"),
        Row("why it ended", ENDS.get(info.reason, info.reason)),
        Row("skipped steps", f"{info.skipped:,} with a loss that was not finite"),
        Row("device and precision", f"{info.device}, {info.precision}"),
    ))  # fmt: skip
    versions = Table("Versions", (
        Row("trained with", f"vaekit {info.vaekit}, torch {info.torch}, Python {info.python}"),
        Row("report made with", f"vaekit {vaekit.__version__}, torch {torch.__version__}, numpy {numpy.__version__}, "
            f"Python {platform.python_version()}"),
        Row("run begun", info.created),
    ))  # fmt: skip
    return data, training, versions


def example(spec: DataSpec) -> str:
    """Shape and values of examples.

    >>> example(DataSpec((1, 28, 20), levels=256)), example(DataSpec((5,)))
    ('28 × 20 grey images, 256 levels', '5 columns, continuous')
    """
    values = "continuous" if spec.levels is None else f"{spec.levels} levels"
    if spec.is_image:
        return f"{times(spec.shape[1:])} {'grey' if spec.shape[0] == 1 else 'colour'} images, {values}"
    if len(spec.shape) > 1:
        return f"{times(spec.shape)}, {values}"
    names = f": {', '.join(spec.names)}" if 0 < len(spec.names) <= 6 else ""
    return f"{spec.dimensions} columns, {values}{names}"


def times(shape: Sequence[int]) -> str:
    """
    >>> times((1, 28, 28))
    '1 × 28 × 28'
    """
    return " × ".join(map(str, shape))


def named(params: Any) -> list[str]:
    """Parameters with their values."""
    return [f"{name} {value}" for name, value in params.items()]


def duration(seconds: float) -> str:
    """
    >>> duration(4.2), duration(75), duration(7260)
    ('4.2 s', '1 min 15 s', '2 h 1 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def commands(run: Run) -> tuple[str, ...]:
    """What to type to get the same again."""
    if run.path is None:
        return ()
    path = shlex.quote(str(run.path))
    if run.info.in_memory:
        return (f"vaekit evaluate {path} --data FILE", f"vaekit report {path} --data FILE")
    train = f"vaekit train {shlex.quote(str(run.path / 'config.yaml'))} --out {shlex.quote(f'{run.path}-again')}"
    return (train, f"vaekit evaluate {path}", f"vaekit report {path}")
