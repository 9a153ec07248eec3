"""Everything that the report shows, computed by the tasks. What cannot be had is left out, and the reason is kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, get_args

import torch
from torch import Tensor

from vaekit.data import read
from vaekit.data.dataset import Rows
from vaekit.errors import ConfigError, DataError, VaekitError
from vaekit.render import Window, drawable
from vaekit.report.abnormal import Judged, judge
from vaekit.run import Run, SplitName
from vaekit.tasks.conditions import category_of
from vaekit.tasks.decoding import Pixels
from vaekit.tasks.doctor import doctor
from vaekit.tasks.embed import Embedding, embed
from vaekit.tasks.evaluate import Evaluation, evaluate, kept
from vaekit.tasks.findings import Diagnosis
from vaekit.tasks.generate import Generated, generate
from vaekit.tasks.interpolate import PAIRS, Interpolation, Mode, interpolate, some_pairs
from vaekit.tasks.reconstruct import Reconstruction, reconstruct
from vaekit.tasks.traverse import Traversal, traverse

Progress = Callable[[int, int], None]
Result = TypeVar("Result")

TEMPERATURES = (0.5, 0.7, 1.0)
QUICK = 500  # examples, at most, of an evaluation that is made for the report alone; rows that are drawn
QUICK_SAMPLES = 64
MAPPED = 1500  # points of the latent map
DIMENSIONS = 8  # traversed at most
VECTORS = 12  # drawn as lines
ENTRIES, CONDITIONS, STEPS = 3, 12, 7  # of the context, shown at most; classes; values of a number


@dataclass(frozen=True)
class Held:
    """The rows that pictures and figures are about."""

    rows: Rows
    split: SplitName
    given: Rows | None  # what the tasks are handed as data: None for the run's own
    examples: Tensor  # some of them, in the data's own units, (m, *shape)

    @property
    def words(self) -> str:
        """How they are called."""
        return "examples of the data in hand" if self.given is not None else f"{self.split} examples"


@dataclass(frozen=True)
class Figures:
    """An evaluation, and whether it was made for the report alone: on few examples, with few samples."""

    found: Evaluation
    quick: bool


@dataclass(frozen=True)
class Material:
    """What the sections are made of. None where it could not be had; `reasons` say why, by section."""

    run: Run
    held: Held | None
    window: Window
    figures: Figures | None
    pairs: Reconstruction | None
    samples: dict[float, Generated]
    paths: tuple[Interpolation, ...]  # the same ends, an entry a mode
    sweep: Traversal | None
    embedding: Embedding | None
    diagnosis: Diagnosis | None
    judged: Judged | None = None  # scores of examples, and the most and least abnormal of them
    styles: tuple[Generated, ...] = ()  # the same noise under each condition, an entry of the context each
    reasons: dict[str, str] = field(default_factory=dict)


class Steps:
    """One piece of work after the other: says how far it is, and keeps the reason where one cannot be done."""

    def __init__(self, total: int, progress: Progress | None) -> None:
        self.done, self.total, self.progress = 0, total, progress
        self.reasons: dict[str, str] = {}

    def attempt(self, name: str, work: Callable[[], Result]) -> Result | None:
        """The result of `work`; None where the run or its data cannot give it."""
        try:
            return work()
        except VaekitError as error:
            self.reasons[name] = str(error)
            return None
        finally:
            self.done += 1
            if self.progress is not None:
                self.progress(self.done, self.total)

    def on(self, held: Held | None, name: str, work: Callable[[Held], Result]) -> Result | None:
        """The same for work that needs data."""

        def with_data() -> Result:
            if held is None:
                raise DataError(self.reasons.get("data", "there is no data"))
            return work(held)

        return self.attempt(name, with_data)


def gather(run: Run, data: Any = None, progress: Progress | None = None) -> Material:
    """All that can be had within a minute or so: what takes long is done on a limited number of examples."""
    steps = Steps(11, progress)
    held = steps.attempt("data", lambda: held_out(run, data))
    samples = steps.attempt("samples", lambda: drawn(run)) or {}
    return Material(
        run=run,
        held=held,
        samples=samples,
        figures=steps.on(held, "figures", lambda held: measured(run, held)),
        pairs=steps.on(held, "reconstructions", lambda held: rebuilt(run, held)),
        paths=steps.on(held, "interpolations", lambda held: walked(run, held)) or (),
        sweep=steps.attempt("traversals", lambda: swept(run, held)),
        embedding=steps.on(held, "map", lambda held: embed(run, held.given, held.split, n=some(held, MAPPED))),
        judged=steps.on(
            held, "abnormal", lambda held: judge(run, held.given, held.split, columns(run), len(held.rows))
        ),
        diagnosis=steps.attempt("doctor", lambda: doctor(run, data=held.given if held else None)),
        styles=steps.attempt("conditions", lambda: styled(run)) or (),
        window=steps.attempt("window", lambda: shown_between(run, held, samples)) or Window(0.0, 1.0),
        reasons=steps.reasons,
    )


def held_out(run: Run, data: Any) -> Held:
    """Data in hand, or the run's test split, or what comes nearest to it. Raises `DataError` where there is none."""
    if data is not None:
        rows = given = read(data, run.preparation, run.spec)
        split: SplitName = "test"
    else:
        split = next((name for name in reversed(get_args(SplitName)) if len(run.rows(name))), "test")
        rows, given = run.rows(split), None
    if not len(rows):
        raise DataError("the data has no rows")
    few = torch.linspace(0, len(rows) - 1, min(len(rows), 400)).long()
    parts = [batch.x for batch in rows.batches(few, 200)]
    return Held(rows, split, given, torch.cat([part for part in parts if isinstance(part, Tensor)]))


def some(held: Held, most: int) -> int:
    """So many examples, or as many as there are."""
    return min(most, len(held.rows))


def shown_between(run: Run, held: Held | None, samples: dict[float, Generated]) -> Window:
    """The values that are black and white in all pictures: those of the data, so that greys compare."""
    shown = [held.examples] if held is not None else [drawn.images for drawn in samples.values()]
    return Window.of(run.spec, *shown) if shown else Window(0.0, 1.0)


def measured(run: Run, held: Held) -> Figures:
    """The evaluation that is kept with the run; or a quick one of these very weights, which is not kept."""
    known = kept(run.path, held.split) if run.path is not None and held.given is None else None
    if known is not None and known.steps == run.info.steps:
        return Figures(known, quick=False)
    # So many that it takes about a minute at most, whatever the size of an example.
    limit = some(held, min(QUICK, max(100, 500_000 // run.spec.dimensions)))
    found = evaluate(replace(run, path=None), held.split, QUICK_SAMPLES, data=held.given, limit=limit)
    return Figures(found, quick=True)


def rebuilt(run: Run, held: Held) -> Reconstruction:
    """Inputs and reconstructions: three rows of pairs, or a dozen vectors."""
    count = 3 * columns(run) if drawable(run.spec) else VECTORS
    return reconstruct(run, held.given, held.split, n=some(held, count), samples=1)


def drawn(run: Run) -> dict[float, Generated]:
    """New examples at each temperature, from the same random numbers; a prior that knows none gives one set."""
    images = drawable(run.spec)
    count = block(run) ** 2 if images else QUICK
    pixels: Pixels = "mean" if images else "sample"
    try:
        return {temperature: generate(run, count, temperature, pixels=pixels) for temperature in TEMPERATURES}
    except ConfigError:
        return {1.0: generate(run, count, pixels=pixels)}


def styled(run: Run) -> tuple[Generated, ...]:
    """The same noise under each class of an entry, or over the range of a number; some entries, the label first.

    Other entries are hidden, but for the label, which has its most common class.
    """
    first = category_of(run)
    names = sorted(run.spec.context, key=lambda name: name != first)
    found = []
    for name in names[:ENTRIES]:
        entry, label = run.spec.context[name], most_common(run) if name != first else []
        if entry.is_category:
            classes = [known for known, share in zip(entry.classes, entry.shares, strict=True) if share > 0]
            found.append(generate(run, columns(run), condition={**as_mapping(label), name: classes[:CONDITIONS]}))
        elif entry.size == 1:
            low, high = entry.low[0], entry.high[0]
            swept = f"{low:.6g}..{high:.6g}:{STEPS}"
            found.append(generate(run, columns(run), condition={**as_mapping(label), name: [swept]}))
    return tuple(found)


def as_mapping(asked: list[str]) -> dict[str, Any]:
    """`["label=3"]` → {"label": "3"}."""
    return dict(text.split("=", 1) for text in asked)


def walked(run: Run, held: Held) -> tuple[Interpolation, ...]:
    """Paths between a few pairs of examples, of different classes where there are classes, in both modes."""
    ends = different(some_pairs(len(held.rows)), held.rows.labels)[: PAIRS - 1]
    return tuple(interpolate(run, ends, mode=mode, data=held.given, split=held.split) for mode in get_args(Mode))


def different(pairs: list[tuple[int, int]], labels: Tensor | None) -> list[tuple[int, int]]:
    """The pairs, the second end moved on to the next row of another class."""
    if labels is None:
        return pairs
    total = len(labels)
    found = []
    for first, second in pairs:
        others = (labels.roll(-second) != labels[first]).nonzero()[:, 0]
        found.append((first, int((second + others[0]) % total) if len(others) else second))
    return found


def swept(run: Run, held: Held | None) -> Traversal:
    """The most active dimensions; without data the first ones."""
    condition = most_common(run)
    if held is None:
        few = range(min(DIMENSIONS, sum(shape.numel() for shape in sizes(run))))
        return traverse(run, few, condition=condition)
    found = traverse(run, data=held.given, split=held.split, condition=condition)
    keep = slice(0, DIMENSIONS)
    kl = None if found.kl is None else found.kl[keep]
    return replace(
        found, images=found.images[keep], latents=found.latents[keep], dimensions=found.dimensions[keep], kl=kl
    )


def most_common(run: Run) -> list[str]:
    """The condition under which single dimensions are shown: the most common class, where there are classes."""
    category = category_of(run)
    if category is None:
        return []
    entry = run.spec.context[category]
    return [f"{category}={entry.classes[max(range(len(entry.shares)), key=entry.shares.__getitem__)]}"]


def sizes(run: Run) -> list[torch.Size]:
    """The shapes of the latent groups."""
    return [torch.Size(shape) for shape in run.latent_shapes.values()]


def columns(run: Run) -> int:
    """Images in a row over the whole width of the page: fewer where they are large."""
    width = run.spec.shape[-1]
    return next((count for most, count in ((40, 10), (72, 8), (140, 6)) if width <= most), 4)


def block(run: Run) -> int:
    """Images in a row where three grids stand side by side."""
    width = run.spec.shape[-1]
    return next((count for most, count in ((40, 7), (72, 5), (140, 4)) if width <= most), 3)
