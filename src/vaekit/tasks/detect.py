"""Which rows are abnormal, how sure that is, and why."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaekit.core import DataSpec
from vaekit.errors import ConfigError, DataError
from vaekit.metrics.abnormality import Recipe, parse
from vaekit.metrics.conformal import check_level, discoveries, threshold
from vaekit.metrics.detector import Detector, Scored
from vaekit.metrics.prepare import Split
from vaekit.metrics.ranking import Ranking, ranking
from vaekit.metrics.reasons import Reasons
from vaekit.run import Run, SplitName
from vaekit.tasks.calibrate import OWN, Calibration, calibrated
from vaekit.tasks.records import plain, write
from vaekit.tasks.rows import Chosen, Progress, chosen, device_for
from vaekit.tasks.verdicts import Verdicts, check_suffix, columns_of, to_table

FOR_ROWS, FOR_LEVELS, FOR_OTHERS = "exemplar+error", "complexity|code_length|elbo", "elbo"  # see benchmarks/anomaly
LEVEL = 0.05  # share of normal rows that are called abnormal, where nothing else is asked for
REASONS = 3  # columns that are named for each row of a table


@dataclass(frozen=True)
class Asked:
    """What makes a row abnormal: a p-value up to `level`, or with `fdr` a false discovery rate over all rows."""

    level: float = LEVEL
    fdr: float | None = None

    def __post_init__(self) -> None:
        check_level("level", self.level)
        if self.fdr is not None:
            check_level("fdr", self.fdr)

    @property
    def highest(self) -> float:
        """No row with a higher p-value is called abnormal."""
        return self.fdr or self.level


@dataclass(frozen=True)
class Detection:
    """Rows with a score and a p-value each, in input order. A high score is abnormal."""

    run: str
    dataset: str
    split: str  # empty: data in hand
    score: str  # its name; several are joined by +
    words: str  # what it says
    unit: str
    verdicts: Verdicts  # scores, p-values, and which rows are abnormal
    parts: Mapping[str, Tensor]  # the scores that went into it, (n,) each
    threshold: float  # the score above which a p-value is at most `level`
    level: float  # of each row by itself
    fdr: float | None  # the false discovery rate that was asked for instead
    calibrated_on: str
    calibration: Tensor  # scores of the normal rows that are compared with, (m,)
    numbers: Tensor  # the rows' numbers in the data, (n,)
    spec: DataSpec
    classes: tuple[str, ...] = ()
    normal: str | None = None  # the class that is normal, where that is known
    notes: tuple[str, ...] = ()

    @property
    def scores(self) -> Tensor:
        """(n,)."""
        return self.verdicts.scores

    @property
    def p_values(self) -> Tensor:
        """(n,)."""
        return self.verdicts.p_values

    @property
    def abnormal(self) -> Tensor:
        """(n,) of booleans."""
        return self.verdicts.abnormal

    @property
    def reasons(self) -> Reasons | None:
        """What makes the abnormal rows of a table so: their most surprising columns."""
        return self.verdicts.reasons

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.verdicts)

    @property
    def count(self) -> int:
        """How many of them are abnormal."""
        return int(self.abnormal.sum())

    @property
    def calibration_rows(self) -> int:
        """How many normal rows they are compared with."""
        return len(self.calibration)

    @property
    def auroc(self) -> float | None:
        """How well the score tells apart what the labels do, where it is known."""
        found = self.ranking()
        return None if found is None else found.auroc

    @property
    def truth(self) -> Tensor | None:
        """What rows are by their labels, where it is known which class is normal: 1 abnormal, 0 normal, −1 unknown, (n,)."""
        if self.normal not in self.classes or self.verdicts.labels is None:
            return None
        return truth_of(self.verdicts.labels, self.classes.index(str(self.normal)))

    def ranking(self) -> Ranking | None:
        """ROC and precision-recall curves, where labels say what is abnormal, and there are rows of both kinds."""
        truth = self.truth
        return None if truth is None else ranked(self.scores, truth)

    def most(self, n: int) -> Tensor:
        """The positions of the n most abnormal rows, the most abnormal first."""
        return self.scores.argsort(descending=True, stable=True)[:n]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        found = {name: plain(value) for name, value in vars(self).items() if name not in ("verdicts", "spec")}
        order = self.ranking()
        curves = {} if order is None else {"auroc": order.auroc, "average_precision": order.average_precision}
        return found | self.verdicts.as_dict() | curves

    def save(self, path: str | Path) -> Path:
        """Write a line a row, as `.csv` or `.parquet`. Raises `ConfigError`, `RunError`."""
        check_suffix(Path(path).suffix)
        columns = columns_of(self.verdicts, self.parts, self.spec, self.classes)
        return write(path, to_table(columns, Path(path).suffix))


def detect(
    run: Run | Sequence[Run],
    data: Any = None,
    split: SplitName = "test",
    *,
    score: str | None = None,
    level: float = LEVEL,
    fdr: float | None = None,
    samples: int = 0,
    n: int | None = None,
    reasons: int = REASONS,
    seed: int = 0,
    progress: Progress | None = None,
) -> Detection:
    """Score rows, and compare them with normal rows that the model was not trained on.

    The comparison is with the run's validation split, or with what `calibrate` was given. A row's p-value is the share of
    normal rows that score as high (split-conformal); `abnormal` are rows with p ≤ `level`, or with `fdr` those that the
    procedure of Benjamini and Hochberg picks at that false discovery rate.

    Args:
        run: the trained model, or several of the same data (an ensemble: each score is the average of theirs).
        data: instead of the run's own: a path, an array, a data frame, a tensor, PIL images, or rows.
        split: of the run's own data.
        score: elbo, reconstruction, importance_weighted, kl, error, latent_density, exemplar, regret, complexity,
            code_length; a sum (exemplar+error), or the highest of some (complexity|code_length), each standardized by the
            training rows. None: the default that was chosen by measurement.
        level: the share of normal rows that may be called abnormal.
        fdr: the share of those called abnormal that may be normal, instead.
        samples: draws from q for expectations; 0: the centre of q stands for them.
        n: at most so many rows, evenly spaced.
        reasons: how many of the most surprising columns are named for each abnormal row of a table.
        seed: of all noise.
        progress: called with the number of rows done, and of all.

    Raises:
        ConfigError: an unknown score; a level outside (0, 1); runs of different data.
        DataError: no rows; data that does not fit; nothing to compare with.

    References:
        An, Cho (2015), Variational autoencoder based anomaly detection using reconstruction probability.
        Bates, Candès, Lei, Romano, Sesia (2023), Testing for outliers with conformal p-values.
    """
    asked = Asked(level, fdr)
    runs = several(run)
    recipe = parse(score or default_score(runs))
    detector, calibrations = detector_of(runs, recipe, samples, seed)
    where = chosen(runs[0], data, split, n=n)
    found = detector.scan(where.rows, where.order, progress)
    return Detection(
        run=runs[0].name,
        dataset=where.name,
        split="" if data is not None else split,
        score=str(recipe),
        words=recipe.words,
        unit=recipe.unit,
        verdicts=judged(detector, where, found, asked, reasons),
        parts={name: found.parts[:, i] for i, name in enumerate(recipe.names)},
        threshold=threshold(detector.calibration, level),
        level=level,
        fdr=fdr,
        calibrated_on=calibrations[0].source,
        calibration=detector.calibration,
        numbers=found.numbers,
        classes=runs[0].spec.classes,
        normal=runs[0].preparation.normal,
        spec=runs[0].spec,
        notes=notes_on(detector, calibrations[0], asked, len(found.parts), data is None and split == "validation"),
    )


def judged(detector: Detector, where: Chosen, found: Scored, asked: Asked, reasons: int) -> Verdicts:
    """Scores, p-values, and which rows are abnormal and why, in input order."""
    numbers = found.numbers.tolist()
    p = detector.p_values(found.parts)
    abnormal = discoveries(p, asked.fdr) if asked.fdr is not None else p <= asked.level
    why = reasons and len(where.rows.spec.shape) == 1
    return Verdicts(
        ids=tuple(where.ids(numbers)),
        labels=where.labels_of(numbers),
        scores=detector.score(found.parts),
        p_values=p,
        abnormal=abnormal,
        reasons=explained(detector, where.rows, found.numbers, abnormal, reasons) if why else None,
    )


def explained(detector: Detector, rows: Split, numbers: Tensor, abnormal: Tensor, k: int) -> Reasons:
    """The reasons of the abnormal rows among those with some numbers, (n,) each; the others have none."""
    positions = abnormal.nonzero()[:, 0]
    width = next(iter(rows.batches(numbers[:1], 1))).x.shape[1]  # type: ignore[union-attr]
    empty = Reasons.none(len(numbers), min(k, width))
    return empty.put(positions, detector.reasons(rows, numbers[positions], k)) if len(positions) else empty


def truth_of(labels: Tensor, normal: int) -> Tensor:
    """1 where a label is another than the normal one, 0 where it is that, −1 where there is none, (n,)."""
    return torch.where(labels < 0, -1, (labels != normal).long())


def ranked(scores: Tensor, truth: Tensor) -> Ranking | None:
    """The curves of the rows whose truth is known; None unless there are rows of both kinds."""
    known = truth >= 0
    abnormal = truth[known] == 1
    return None if abnormal.all() or not abnormal.any() else ranking(scores[known], abnormal)


def several(run: Run | Sequence[Run]) -> list[Run]:
    """One run or some, as a list. Raises `ConfigError` for none."""
    runs = [run] if isinstance(run, Run) else list(run)
    if not runs:
        raise ConfigError("expected at least one run, got none")
    return runs


def default_score(runs: Sequence[Run]) -> str:
    """The score that did best where it was chosen."""
    spec = runs[0].spec
    if len(spec.shape) == 1:
        return FOR_ROWS
    return FOR_LEVELS if spec.levels is not None else FOR_OTHERS


def detector_of(
    runs: Sequence[Run], recipe: Recipe, samples: int = 0, seed: int = 0, progress: Progress | None = None
) -> tuple[Detector, list[Calibration]]:
    """The runs with what they are compared with. Raises `ConfigError`, `DataError`."""
    first = runs[0]
    for other in runs[1:]:
        if other.info.fingerprint != first.info.fingerprint:
            raise ConfigError(
                f"runs that detect together were trained on the same data; '{first.name}' has {first.info.dataset} "
                f"({first.info.fingerprint[:12]}), '{other.name}' has {other.info.dataset} ({other.info.fingerprint[:12]})"
            )
    for one in runs:
        device_for(one)
    found = [calibrated(one, recipe.names, samples, seed, progress) for one in runs]
    if any((one.rows, one.contamination) != (found[0].rows, found[0].contamination) for one in found):
        raise DataError(
            f"the runs are calibrated differently: {', '.join(f'{one.source} ({len(one)} rows)' for one in found)}.\n"
            "  fix: vaekit calibrate each of them with the same --data and --contamination"
        )
    normal, reference = zip(*(one.of(recipe.names) for one in found), strict=True)
    scales = [one for one in reference if one is not None]
    detector = Detector(
        models=[one.model for one in runs],
        recipe=recipe,
        codes=[one.codes for one in found],
        normal=torch.stack(normal).mean(0),
        reference=torch.stack(scales).mean(0) if len(scales) == len(runs) else None,
        samples=samples,
        seed=seed,
    )
    return detector.without(found[0].contamination), found


def notes_on(detector: Detector, found: Calibration, asked: Asked, n: int, same: bool) -> tuple[str, ...]:
    """What the user should know of the comparison of n rows."""
    m, notes = len(detector.calibration), list[str]()
    more = "calibrate with more normal rows (vaekit calibrate RUN --data PATH)"
    if 1 / (m + 1) > asked.highest:
        notes.append(
            f"with {m} normal rows to compare with, no p-value is below {1 / (m + 1):.2g}: nothing is abnormal; {more}"
        )
    elif asked.fdr is not None and (least := math.ceil(n / (m + 1) / asked.fdr - 1e-9)) > 1:
        notes.append(
            f"with {m} normal rows to compare with, a false discovery rate of {asked.fdr:g} needs at least {least:,} of the "
            f"{n:,} rows to score beyond all of them, or none is called abnormal; for fewer, {more}"
        )
    if same and found.source == OWN:
        notes.append("these rows are compared with themselves: p-values are those of normal rows by construction")
    return tuple(notes)


__all__ = ["Detection", "default_score", "detect", "detector_of"]
