"""What the scores of a run are compared with: those of normal rows that it was not trained on."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from vaekit.data import Rows
from vaekit.engine import checkpoint
from vaekit.errors import ConfigError, DataError, RunError
from vaekit.metrics.abnormality import SCORES, Codes, parse
from vaekit.metrics.detector import codes_of, digest, others, scan
from vaekit.run import Run
from vaekit.tasks.rows import Chosen, Progress, chosen, device_for, evenly, positive

FILE = "calibration.safetensors"
ALWAYS = ("elbo", "reconstruction", "kl", "error", "latent_density", "exemplar")  # all from one pass
MOST = 10_000  # rows: more change p-values in the fourth digit
OWN = "the run's validation split"
CODES = ("mean", "scale", "costs", "errors")


@dataclass(frozen=True)
class Calibration:
    """Scores of normal rows, and codes of training rows."""

    names: tuple[str, ...]
    parts: Tensor  # a row for each normal row, a column for each name, (m, names)
    codes: Codes | None  # None: the training data could not be opened
    reference: Tensor | None  # the same of training rows, for scales, (r, names)
    source: str  # where the rows are from
    rows: str  # a digest of them
    samples: int  # draws from q; 0: its centre
    weights: str  # a digest of the model that scored them
    contamination: float = 0.0  # share of the rows that is taken as abnormal, and left out

    def __len__(self) -> int:
        return len(self.parts)

    def of(self, names: Sequence[str]) -> tuple[Tensor, Tensor | None]:
        """The columns of some scores, of the normal rows (m, names) and of training rows (r, names)."""
        columns = [self.names.index(name) for name in names]
        return self.parts[:, columns], None if self.reference is None else self.reference[:, columns]

    def as_dict(self) -> dict[str, Any]:
        """What it is, in plain values, for JSON."""
        return {
            "n": len(self),
            "source": self.source,
            "samples": self.samples,
            "rows": self.rows,
            "weights": self.weights,
            "contamination": self.contamination,
            "names": list(self.names),
        }


def calibrate(
    run: Run,
    data: Any = None,
    *,
    score: str | None = None,
    samples: int = 0,
    contamination: float = 0.0,
    limit: int = MOST,
    seed: int = 0,
    progress: Progress | None = None,
) -> Calibration:
    """Score normal rows, and keep the scores with the run: `detect` compares with them. Nothing is trained.

    Args:
        run: the trained model.
        data: normal rows that the run was not trained on, in any form that tasks take; None: the run's validation split,
            which has chosen the weights (the last of some dozens of looks), and nothing else. Where the run knows which
            label is normal, rows of other labels are left out.
        score: a score besides those that one pass gives (elbo, reconstruction, kl, error, latent_density, exemplar).
        samples: draws from q for expectations; 0: the centre of q stands for them.
        contamination: the share of these rows that is in truth abnormal: so many of the highest scores are left out.
        limit: at most so many rows, evenly spaced.
        seed: of all noise.
        progress: called with the number of rows done, and of all.

    Raises:
        ConfigError, DataError: an unknown score, a contamination outside [0, 0.5); no normal rows; data that does not fit.
        RunError: the calibration cannot be kept in the run's directory.
    """
    positive("limit", limit)
    if not 0 <= contamination < 0.5:
        raise ConfigError(f"contamination: expected a share from 0 to below 0.5, got {contamination:g}")
    result = calibration(run, data, parse(score or "elbo").names, samples, contamination, limit, seed, progress)
    if run.path is not None:
        save(run.path, result)
    return result


def calibration(
    run: Run,
    data: Any,
    wanted: Sequence[str],
    samples: int,
    contamination: float,
    limit: int,
    seed: int,
    progress: Progress | None,
) -> Calibration:
    """The scores of normal rows and of training rows, with whatever the training data still tells."""
    names = tuple(dict.fromkeys([*ALWAYS, *wanted]))
    where = normal_rows(run, data, limit)
    codes, training = training_codes(run, seed)
    if codes is None:
        names = tuple(name for name in names if not SCORES[name].needs_codes)
    found = scan([run.model], [codes], where.rows, names, where.order, samples, seed, progress)
    reference = None
    if training is not None:
        reference = scan([run.model], [codes], training, names, others(len(training)), samples, seed).parts
    return Calibration(
        names=names,
        parts=found.parts,
        codes=codes,
        reference=reference,
        source=OWN if data is None else where.name,
        rows=digest(*(batch.x for batch in where.rows.batches(where.order, 256))),
        samples=samples,
        weights=digest(run.model),
        contamination=contamination,
    )


def normal_rows(run: Run, data: Any, limit: int) -> Chosen:
    """The rows to compare with. Raises `DataError` where there is none."""
    where = chosen(run, data, "validation")
    order, labels, normal = where.order, where.rows.labels, run.preparation.normal
    if normal and labels is not None and normal in run.spec.classes:
        order = order[labels.cpu()[order] == run.spec.classes.index(normal)]
    if not len(order):
        raise DataError(f"{where.name}: expected normal rows ('{normal}') to calibrate with, got none")
    if len(order) > limit:
        order = order[evenly(len(order), limit)]
    return Chosen(where.rows, order, where.name)


def training_codes(run: Run, seed: int) -> tuple[Codes | None, Rows | None]:
    """Codes of training rows, anew or those that were kept, and these rows; None where they cannot be opened."""
    known = kept(run)
    try:
        rows = run.rows("train").to(device_for(run))
    except (DataError, RunError):
        return (None if known is None else known.codes), None
    return (codes_of(run.model, rows, seed) if known is None or known.codes is None else known.codes), rows


def calibrated(run: Run, names: Sequence[str], samples: int, seed: int, progress: Progress | None) -> Calibration:
    """The calibration that is kept with a run; where there is none, or it lacks a score, one with its validation split.

    What was kept is never replaced here: it may have been made with other rows, or a stated contamination.
    Raises `DataError` where that cannot be had; the message says what to do.
    """
    known = kept(run)
    if known is not None and known.samples == samples and set(names) <= set(known.names):
        return known
    missing = next((name for name in names if known is None or name not in known.names), names[0])
    again = f"vaekit calibrate {run.path or 'RUN'} --data PATH --score {missing}" + (
        f" --samples {samples}" * bool(samples)
    )
    if known is not None and known.source != OWN:
        raise DataError(
            f"{run.path}: calibrated on {known.source}, without the score '{missing}' over {samples} draws.\n  fix: {again}"
        )
    contamination = 0.0 if known is None else known.contamination
    try:
        made = calibration(run, None, names, samples, contamination, MOST, seed, progress)
    except (DataError, RunError) as error:
        raise DataError(
            f"detection compares with normal rows that the model was not trained on: {error}\n"
            f"  or: {again}, with normal rows"
        ) from None
    if not set(names) <= set(made.names):
        raise DataError(
            f"the score '{missing}' needs codes of training rows, and the training data cannot be opened.\n"
            "  fix: --score elbo, or calibrate where the training data is"
        )
    if known is None and run.path is not None:
        with contextlib.suppress(RunError):  # a directory that cannot be written: it is made again the next time
            save(run.path, made)
    return made


# --- kept with the run -----------------------------------------------------------------------------------------------


def save(path: Path, found: Calibration) -> None:
    """Write a calibration into a run's directory."""
    tensors = {"parts": found.parts, "reference": found.reference}
    if found.codes is not None:
        tensors |= {f"codes/{name}": getattr(found.codes, name) for name in CODES}
    present = {name: value for name, value in tensors.items() if value is not None}
    checkpoint.save(path / FILE, present, found.as_dict())


def kept(run: Run) -> Calibration | None:
    """The calibration in a run's directory, if it is of these weights. Raises `RunError` for an altered file."""
    if run.path is None or not (run.path / FILE).is_file():
        return None
    tensors, record = checkpoint.load(run.path / FILE)
    if record.get("weights") != digest(run.model):
        return None
    device = next(run.model.parameters()).device
    parts = {name: tensors[f"codes/{name}"].to(device) for name in CODES if f"codes/{name}" in tensors}
    return Calibration(
        names=tuple(record["names"]),
        parts=tensors["parts"],
        codes=Codes(**parts) if parts else None,
        reference=tensors.get("reference"),
        **{name: record[name] for name in ("source", "rows", "samples", "weights", "contamination")},
    )


__all__ = ["Calibration", "calibrate", "calibrated", "kept"]
