"""What the scores of a run are compared with: those of normal rows that it was not trained on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaekit.engine import checkpoint
from vaekit.errors import ConfigError, DataError, RunError
from vaekit.metrics.abnormality import SCORES, Codes, parse
from vaekit.metrics.detector import codes_of, scan
from vaekit.run import Run
from vaekit.tasks.rows import Chosen, Progress, chosen, device_for, positive

FILE = "calibration.safetensors"
ALWAYS = ("elbo", "reconstruction", "kl", "error", "latent_density", "exemplar")  # all from one pass
MOST = 10_000  # rows: more change p-values in the fourth digit
OWN = "the run's validation split"


@dataclass(frozen=True)
class Calibration:
    """Scores of normal rows, and codes of training rows."""

    names: tuple[str, ...]
    parts: Tensor  # a row for each normal row, a column for each name, (m, names)
    codes: Codes | None  # None: the training data could not be opened
    source: str  # where the rows are from
    samples: int  # draws from q; 0: its centre
    steps: int  # of training, at the time
    contamination: float = 0.0  # share of the rows that is taken as abnormal, and left out

    def __len__(self) -> int:
        return len(self.parts)

    def of(self, names: Sequence[str]) -> Tensor:
        """The columns of some scores, (m, names)."""
        return self.parts[:, [self.names.index(name) for name in names]]

    def as_dict(self) -> dict[str, Any]:
        """What it is, in plain values, for JSON."""
        return {
            "n": len(self),
            "source": self.source,
            "samples": self.samples,
            "steps": self.steps,
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
    names = tuple(dict.fromkeys([*ALWAYS, *parse(score or "elbo").names]))
    where = normal_rows(run, data, limit)
    codes = training_codes(run, seed)
    if codes is None:
        names = tuple(name for name in names if not SCORES[name].needs_codes)
    found = scan([run.model], [codes], where.rows, names, where.order, samples, seed, progress=progress)
    result = Calibration(
        names, found.parts, codes, OWN if data is None else where.name, samples, run.info.steps, contamination
    )
    if run.path is not None:
        save(run.path, result)
    return result


def normal_rows(run: Run, data: Any, limit: int) -> Chosen:
    """The rows to compare with. Raises `DataError` where there is none."""
    where = chosen(run, data, "validation")
    order, labels, normal = where.order, where.rows.labels, run.preparation.normal
    if normal and labels is not None and normal in run.spec.classes:
        order = order[labels.cpu()[order] == run.spec.classes.index(normal)]
    if not len(order):
        raise DataError(f"{where.name}: expected normal rows ('{normal}') to calibrate with, got none")
    if len(order) > limit:
        order = order[torch.linspace(0, len(order) - 1, limit).long()]
    return Chosen(where.rows, order, where.name)


def training_codes(run: Run, seed: int) -> Codes | None:
    """Codes of training rows: those that were kept, else anew; None where the training data cannot be opened."""
    known = kept(run)
    if known is not None and known.codes is not None:
        return known.codes
    try:
        rows = run.rows("train")
    except (DataError, RunError):
        return None
    return codes_of(run.model, rows.to(device_for(run)), seed)


def calibrated(run: Run, names: Sequence[str], samples: int, seed: int, progress: Progress | None) -> Calibration:
    """The calibration that is kept with a run; where there is none, or it lacks a score, one with its validation split.

    Raises `DataError` where that cannot be had; the message says what to do.
    """
    known = kept(run)
    if known is not None and known.samples == samples and set(names) <= set(known.names):
        return known
    missing = next((name for name in names if known is None or name not in known.names), names[0])
    if known is not None and known.source != OWN:
        raise DataError(
            f"{run.path}: calibrated on {known.source}, without the score '{missing}' over {samples} draws.\n"
            f"  fix: vaekit calibrate {run.path} --data PATH --score {missing}"
        )
    try:
        made = calibrate(run, score="+".join(names), samples=samples, seed=seed, progress=progress)
    except (DataError, RunError) as error:
        raise DataError(
            f"detection compares with normal rows that the model was not trained on: {error}\n"
            f"  or: vaekit calibrate {run.path or 'RUN'} --data PATH, with normal rows"
        ) from None
    if not set(names) <= set(made.names):
        raise DataError(
            f"the score '{missing}' needs codes of training rows, and the training data cannot be opened.\n"
            "  fix: --score elbo, or calibrate where the training data is"
        )
    return made


# --- kept with the run -----------------------------------------------------------------------------------------------


def save(path: Path, found: Calibration) -> None:
    """Write a calibration into a run's directory."""
    tensors = {"parts": found.parts}
    if found.codes is not None:
        tensors |= {"codes/mean": found.codes.mean, "codes/scale": found.codes.scale}
    checkpoint.save(path / FILE, tensors, found.as_dict())


def kept(run: Run) -> Calibration | None:
    """The calibration in a run's directory, if it is of these weights. Raises `RunError` for an altered file."""
    if run.path is None or not (run.path / FILE).is_file():
        return None
    tensors, record = checkpoint.load(run.path / FILE)
    if record["steps"] != run.info.steps:
        return None
    device = next(run.model.parameters()).device
    codes = (
        Codes(tensors["codes/mean"].to(device), tensors["codes/scale"].to(device)) if "codes/mean" in tensors else None
    )
    names = tuple(record["names"])
    return Calibration(
        names, tensors["parts"], codes, record["source"], record["samples"], record["steps"], record["contamination"]
    )


__all__ = ["Calibration", "calibrate", "calibrated", "kept"]
