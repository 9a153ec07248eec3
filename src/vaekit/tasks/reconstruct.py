"""What a model makes of examples, and how well it explains each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaekit.engine.runtime import seeded
from vaekit.metrics import centred, pixels
from vaekit.metrics.measures import concatenated, scores_of
from vaekit.run import Run, SplitName
from vaekit.tasks.decoding import restored
from vaekit.tasks.evaluate import units
from vaekit.tasks.records import label_name, plain, to_csv, write
from vaekit.tasks.rows import Progress, chosen, positive, walk

FIGURES = ("elbo_nats", "log_likelihood_nats", "kl_nats", "mse", "psnr_db")


@dataclass(frozen=True)
class Reconstruction:
    """Inputs beside what comes back through the centre of the posterior, in the data's own units, in input order."""

    inputs: Tensor  # (n, *shape)
    outputs: Tensor  # (n, *shape)
    ids: tuple[str, ...]
    labels: Tensor | None  # class numbers, −1 unknown                 (n,)
    classes: tuple[str, ...]
    elbo_nats: Tensor  # (n,)
    log_likelihood_nats: Tensor  # (n,)
    kl_nats: Tensor  # (n,)
    mse: Tensor  # in squared units of the data                        (n,)
    psnr_db: Tensor | None  # for data with levels                     (n,)
    samples: int  # draws that the nats are averaged over
    dataset: str
    units: str  # what the log-probabilities are about

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values: dict[str, Any] = plain(self)
        return values

    def figures(self) -> dict[str, Tensor]:
        """Name → one figure an example, (n,)."""
        found = {name: getattr(self, name) for name in FIGURES}
        return {name: value for name, value in found.items() if value is not None}

    def save(self, path: str | Path) -> Path:
        """Write the figures as CSV, a line an example. Raises `RunError` where it cannot be written."""
        figures = self.figures()
        names = [] if self.labels is None else [label_name(int(label), self.classes) for label in self.labels]
        columns = [self.ids, *([names] if names else []), *(value.tolist() for value in figures.values())]
        header = ["id", *(["label"] if names else []), *figures]
        return write(path, to_csv(header, zip(*columns, strict=True)))


def reconstruct(
    run: Run,
    data: Any = None,
    split: SplitName = "test",
    *,
    n: int | None = None,
    indices: Sequence[int] | None = None,
    samples: int = 16,
    seed: int = 0,
    progress: Progress | None = None,
) -> Reconstruction:
    """Encode, take the centre of the posterior, decode; and score every example.

    Args:
        run: the trained model.
        data: instead of the run's own: a path, an array, a tensor, PIL images, or rows.
        split: of the run's own data.
        n: that many evenly spaced examples; None: all.
        indices: or these.
        samples: draws from the posterior over which an example's nats are averaged.
        seed: of all noise.
        progress: called with the number of examples done, and of all.

    Raises:
        ConfigError, DataError: `n` or `samples` below 1, indices out of range; no rows; data that does not fit.
    """
    positive("samples", samples)
    where = chosen(run, data, split, n=n, indices=indices)
    inputs, outputs, scored, numbers = [], [], [], list[int]()
    with torch.no_grad(), seeded(seed, next(run.model.parameters()).device):
        for chunk in walk(run, where, seed, progress):
            assert isinstance(chunk.raw.x, Tensor), "named parts have no common error"
            inputs.append(chunk.raw.x.cpu())
            outputs.append(restored(run.model, centred(run.model, chunk.batch).likelihood, "mean"))
            scored += [scores.without_sites() for scores in scores_of(run.model, chunk, samples, seed)]
            numbers += chunk.numbers
    x, y, scores = torch.cat(inputs), torch.cat(outputs), concatenated(scored)
    return Reconstruction(
        inputs=x,
        outputs=y,
        ids=tuple(where.ids(numbers)),
        labels=where.labels_of(numbers),
        classes=run.spec.classes,
        elbo_nats=scores.elbo.cpu(),
        log_likelihood_nats=scores.log_likelihood.cpu(),
        kl_nats=scores.total_kl.cpu(),
        mse=pixels.squared_error(y, x),
        psnr_db=None if run.spec.levels is None else pixels.psnr(y, x, run.spec),
        samples=samples,
        dataset=where.name,
        units=units(run),
    )
