"""The figures of a run on held-out data, each with its standard error."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaekit.core import Batch, DataSpec, Trace
from vaekit.data.context import unknown_in
from vaekit.errors import RunError, VaekitError
from vaekit.metrics import (
    Estimate,
    Measures,
    active_units,
    bits_per_dimension,
    classify,
    effective_dimensions,
    measure,
    pixels,
    reconstruction,
)
from vaekit.model import VAE
from vaekit.run import Run, SplitName
from vaekit.tasks.conditions import category_of
from vaekit.tasks.records import plain, write
from vaekit.tasks.rows import Chosen, chosen, positive

MOST_CLASSES = 100  # that a bound without the class is summed over


@dataclass(frozen=True)
class ClassFigures:
    """One class of a conditional model."""

    name: str
    importance_weighted_nats: Estimate  # the bound on log p(x | class), of its examples
    accuracy: float  # share of its examples that Bayes' rule recognizes


@dataclass(frozen=True)
class ByClass:
    """A conditional model where the class is not given: a marginal bound, and a classifier by Bayes' rule."""

    entry: str
    marginal_nats: Estimate  # the bound on log Σ p(class) p(x | class), of all examples
    accuracy: Estimate | None  # of the most likely class; None where no class is known
    classes: tuple[ClassFigures, ...]  # those that have examples


@dataclass(frozen=True)
class Evaluation:
    """What was measured, and on what. Nats are per example; None stands for what does not exist for this data."""

    run: str
    dataset: str
    split: str  # empty: data in hand
    units: str  # what the log-probabilities are about
    n: int
    samples: int  # K of the importance-weighted bound; draws that the other figures are averaged over
    seed: int
    steps: int  # of training, at the time
    elbo_nats: Estimate
    importance_weighted_nats: Estimate
    bits_per_dim: Estimate  # of the importance-weighted bound
    elbo_bits_per_dim: Estimate
    log_likelihood_nats: Estimate  # E_q[log p(x | z)]
    kl_nats: Estimate
    effective_samples: Estimate  # of the importance weights
    kl_per_group: Mapping[str, Estimate]
    kl_per_dimension: tuple[float, ...]  # nats; groups one after the other, maps flattened; one a group without sites
    latent_dimensions: int  # numbers in one code
    active_units: int  # of them
    effective_dimensions: float  # how many dimensions the KL is spread over
    mse: Estimate  # of the central reconstruction, in squared units of the data
    psnr_db: Estimate | None
    ssim: Estimate | None
    ms_ssim: Estimate | None
    ms_ssim_scales: int
    notes: tuple[str, ...]
    device: str
    seconds: float
    by_class: ByClass | None = None  # of a run with a category in its context

    @property
    def without_class_nats(self) -> Estimate | None:
        """The bound on log p(x) of a conditional model, its class summed over."""
        return None if self.by_class is None else self.by_class.marginal_nats

    @property
    def accuracy(self) -> Estimate | None:
        """How often the most likely class of a conditional model is the right one."""
        return None if self.by_class is None else self.by_class.accuracy

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values: dict[str, Any] = plain(self)
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Evaluation:
        """The inverse of `as_dict`."""
        known = {field.name: values[field.name] for field in fields(cls) if field.name != "by_class"}
        ready = {name: as_estimate(value) for name, value in known.items()}
        ready["kl_per_group"] = {name: as_estimate(value) for name, value in known["kl_per_group"].items()}
        ready |= {name: tuple(known[name]) for name in ("kl_per_dimension", "notes")}
        found = values.get("by_class")
        return cls(**ready, by_class=None if found is None else by_class_from(found))

    def __str__(self) -> str:
        figures = {name: value for name, value in vars(self).items() if isinstance(value, Estimate)}
        head = (
            f"{self.run} on {self.dataset} {self.split}: {self.n} examples, {self.samples} samples each; {self.units}"
        )
        if self.by_class is not None:
            figures["marginal_nats"] = self.by_class.marginal_nats
            figures |= {"accuracy": self.by_class.accuracy} if self.by_class.accuracy else {}
        lines = [f"  {name:26} {value}" for name, value in figures.items()]
        return "\n".join([head, *lines, f"  {'active_units':26} {self.active_units} of {self.latent_dimensions}"])


def evaluate(
    run: Run,
    split: SplitName = "test",
    samples: int = 512,
    *,
    data: Any = None,
    limit: int | None = None,
    seed: int = 0,
    by_class: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> Evaluation:
    """Measure a run on a split of its data, or on data in hand.

    Every row's binarization or dequantization noise is a function of `seed` and its number: figures do not depend on
    batches. An evaluation of the run's own data is kept as `evaluation-SPLIT.json` in its directory, unless one of the same
    weights on more examples is there.

    Args:
        run: what is measured.
        split: `train`, `validation` or `test`.
        samples: K of the importance-weighted bound, log 1/K Σ p(x, z) / q(z | x).
        data: instead of the run's own: a path, an array, a tensor, PIL images, or rows.
        limit: at most so many examples, evenly spaced.
        seed: of all noise.
        by_class: of a run with a category in its context: also the bound without it, and the classifier that Bayes' rule makes
            of the model (about as long again).
        progress: called with the number of examples done, and of all.

    Raises:
        ConfigError, DataError: `samples` or `limit` below 1; no rows; data that does not fit or is not the run's any more.
        RunError: the evaluation cannot be kept in the run's directory; the message has the figures.
    """
    positive("samples", samples)
    began = time.perf_counter()
    where = chosen(run, data, split, n=limit)
    near = Nearness(run.model, run.spec)
    category = category_of(run) if by_class else None
    if category is not None and len(run.spec.context[category].classes) > MOST_CLASSES:
        category = None  # a pass for each of them would take hours
    rounds = [None if progress is None else part(progress, i, 1 + bool(category)) for i in (0, 1)]
    found = measure(run.model, where.rows, samples, seed=seed, order=where.order, visit=near.add, progress=rounds[0])
    classes = None if category is None else class_figures(run, where, category, samples, seed, rounds[1])
    result = evaluation(run, where, "" if data is not None else split, seed, found, near, time.perf_counter() - began)
    result = replace(result, by_class=classes, notes=(*result.notes, *(unknown_entries(where) if data is None else ())))
    if data is None and run.path is not None:
        keep(run.path, result)
    return result


def evaluation(
    run: Run, where: Chosen, split: str, seed: int, found: Measures, near: Nearness, seconds: float
) -> Evaluation:
    """Everything that was found, side by side."""
    kl = found.kl_per_dimension
    return Evaluation(
        run=run.name,
        dataset=where.name,
        split=split,
        units=units(run),
        n=found.elbo.n,
        samples=found.samples,
        seed=seed,
        steps=run.info.steps,
        elbo_nats=found.elbo,
        importance_weighted_nats=found.importance_weighted,
        bits_per_dim=bits_per_dimension(found.importance_weighted, run.spec),
        elbo_bits_per_dim=bits_per_dimension(found.elbo, run.spec),
        log_likelihood_nats=found.log_likelihood,
        kl_nats=found.kl,
        effective_samples=found.effective_samples,
        kl_per_group=found.kl_per_group,
        kl_per_dimension=tuple(torch.cat([value.flatten() for value in kl.values()]).tolist()),
        latent_dimensions=sum(values.numel() for values in found.variances.values()),
        active_units=active_units(found.variances),
        effective_dimensions=round(effective_dimensions(kl), 3),
        mse=near.estimate("mse"),
        psnr_db=near.existing("psnr"),
        ssim=near.existing("ssim"),
        ms_ssim=near.existing("ms_ssim"),
        ms_ssim_scales=pixels.scales(run.spec) if near.existing("ms_ssim") else 0,
        notes=tuple(near.notes),
        device=str(next(run.model.parameters()).device),
        seconds=round(seconds, 2),
    )


def part(progress: Callable[[int, int], None], number: int, total: int) -> Callable[[int, int], None]:
    """Progress over all of `total` walks, in walk `number`."""
    return lambda done, of: progress(number * of + done, total * of)


def unknown_entries(where: Chosen) -> list[str]:
    """Notes on entries of the context that some rows do not have."""
    notes = []
    for name, values in where.rows.context.items():
        values = values.cpu()[where.order]
        missing = int(unknown_in(values).sum())
        if missing:
            notes.append(f"{name} is unknown in {missing} of {len(values)} examples: there the model was given none")
    return notes


def class_figures(
    run: Run, where: Chosen, name: str, samples: int, seed: int, progress: Callable[[int, int], None] | None
) -> ByClass:
    """The figures of a conditional model where one entry is not given."""
    entry = run.spec.context[name]
    found = classify(run.model, where.rows, name, entry, samples, seed=seed, order=where.order, progress=progress)
    right = (found.predicted == found.truth).double()
    known = found.truth >= 0
    rows = {k: (found.truth == k).nonzero()[:, 0] for k in range(len(entry.classes))}
    return ByClass(
        entry=name,
        marginal_nats=Estimate.of(found.marginal),
        accuracy=Estimate.of(right[known]) if known.any() else None,
        classes=tuple(
            ClassFigures(entry.classes[k], Estimate.of(found.given_truth[own]), right[own].mean().item())
            for k, own in rows.items()
            if len(own)
        ),
    )


def by_class_from(values: Mapping[str, Any]) -> ByClass:
    """The inverse of `plain` for this record."""
    classes = [{name: as_estimate(value) for name, value in figures.items()} for figures in values["classes"]]
    return ByClass(
        entry=str(values["entry"]),
        marginal_nats=as_estimate(values["marginal_nats"]),
        accuracy=as_estimate(values["accuracy"]),
        classes=tuple(ClassFigures(**figures) for figures in classes),
    )


class Nearness:
    """Collects how near the central reconstructions are to the raw data."""

    def __init__(self, model: VAE, spec: DataSpec) -> None:
        self.model, self.spec = model, spec
        self.values: dict[str, list[Tensor]] = {}
        self.notes: list[str] = []
        self.structural = pixels.has_ssim(spec)
        if self.structural:
            try:
                pixels.torchmetrics_images()
            except VaekitError as error:
                self.structural = False
                self.notes.append(str(error))
        elif spec.is_image and spec.levels is not None:
            self.notes.append(f"SSIM needs sides of at least {pixels.WINDOW} pixels, the images have {spec.shape[1:]}")

    def add(self, raw: Batch, trace: Trace) -> None:
        """Take in raw rows and the deterministic pass over them."""
        outputs, inputs, spec = reconstruction(self.model, trace), raw.x, self.spec
        assert isinstance(inputs, Tensor), "named parts have no common error"
        self.note("mse", pixels.squared_error(outputs, inputs))
        if spec.levels is not None:
            self.note("psnr", pixels.psnr(outputs, inputs, spec))
        if self.structural:
            self.note("ssim", pixels.ssim(outputs, inputs, spec))
            if pixels.scales(spec) > 1:
                self.note("ms_ssim", pixels.ms_ssim(outputs, inputs, spec))

    def note(self, name: str, values: Tensor) -> None:
        """Keep one value an example, (B,)."""
        self.values.setdefault(name, []).append(values.cpu())

    def estimate(self, name: str) -> Estimate:
        """Of a figure that exists for any data."""
        return Estimate.of(torch.cat(self.values[name]))

    def existing(self, name: str) -> Estimate | None:
        """Of a figure that may not exist for this data."""
        return self.estimate(name) if name in self.values else None


def units(run: Run) -> str:
    """What the log-probabilities of a run are about, in words."""
    params, levels = run.config.model.likelihood.params, run.spec.levels
    binarization = params.get("binarization") if levels is not None and levels > 2 else None
    if binarization == "dynamic":
        return "log-probabilities of binarized images (one fixed random draw each)"
    if binarization == "threshold":
        return f"log-probabilities of images binarized at {params['threshold']:g}"
    if binarization == "expected":
        return "cross-entropies with grey values as targets: not log-probabilities of the grey images"
    if levels is None:
        return "log-densities of continuous data in its own units: they can be of any sign"
    if params.get("dequantize") is False:
        return f"log-densities at the {levels} levels: not comparable with code lengths"
    return f"log-probabilities of the data itself ({levels} levels)"


# --- kept with the run -----------------------------------------------------------------------------------------------


def keep(path: Path, result: Evaluation) -> None:
    """Write an evaluation into a run's directory, unless one of the same weights on more examples is there."""
    known = kept(path, result.split)
    if known is not None and known.steps == result.steps and known.n > result.n:
        return
    try:
        write(path / file_name(result.split), json.dumps(result.as_dict(), indent=1).encode())
    except RunError as error:
        raise RunError(f"{error}\n  what was found:\n{result}") from None


def kept(path: Path, split: str = "test") -> Evaluation | None:
    """The evaluation in a run's directory; None if there is none, or it cannot be read."""
    try:
        return Evaluation.from_dict(json.loads((path / file_name(split)).read_text(encoding="utf-8")))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def file_name(split: str) -> str:
    """Where the evaluation of a split is kept."""
    return f"evaluation-{split}.json"


def as_estimate(value: Any) -> Any:
    """`{mean, stderr, n}` → an `Estimate`; anything else as it is."""
    if not isinstance(value, Mapping) or set(value) != {"mean", "stderr", "n"}:
        return value
    mean, stderr = (float("nan") if value[name] is None else float(value[name]) for name in ("mean", "stderr"))
    return Estimate(mean, stderr, int(value["n"]))


__all__ = ["Evaluation", "evaluate", "kept", "units"]
