"""What a model makes of examples, and how well it explains each of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaekit.core import Trace, each
from vaekit.engine.runtime import seeded
from vaekit.metrics import centred, pixels
from vaekit.metrics.measures import concatenated, scores_of
from vaekit.run import Run, SplitName
from vaekit.tasks.conditions import Asked, Conditions, conditions
from vaekit.tasks.decoding import restored
from vaekit.tasks.evaluate import units
from vaekit.tasks.records import label_name, plain, to_csv, write
from vaekit.tasks.rows import Progress, chosen, positive, walk
from vaekit.tasks.style import under

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
    conditions: tuple[str, ...] = ()  # other contexts that were asked for
    changed: Tensor | None = None  # the same style under each of them  (n, conditions, *shape)

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
    condition: Asked | None = None,
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
        condition: values of the context, `{"label": [4, 9]}` or `["label=4"]`: every example is also decoded under each of
            them, with the latents of its own context (the same style as another class). Other entries stay as they are.
        progress: called with the number of examples done, and of all.

    Raises:
        ConfigError, DataError: `n` or `samples` below 1, indices out of range; no rows; data that does not fit; a condition
            that the run does not know.
    """
    positive("samples", samples)
    where = chosen(run, data, split, n=n, indices=indices)
    asked = conditions(run, condition) if condition else None
    changed = list[Tensor]()
    inputs, outputs, scored, numbers = [], [], [], list[int]()
    with torch.no_grad(), seeded(seed, next(run.model.parameters()).device):
        for chunk in walk(run, where, seed, progress):
            assert isinstance(chunk.raw.x, Tensor), "named parts have no common error"
            inputs.append(chunk.raw.x.cpu())
            trace = centred(run.model, chunk.batch)
            outputs.append(restored(run.model, trace.likelihood, "mean"))
            if asked is not None:
                changed.append(under_each(run, trace, asked))
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
        conditions=() if asked is None else asked.names,
        changed=torch.cat(changed) if changed else None,
    )


def under_each(run: Run, trace: Trace, asked: Conditions) -> Tensor:
    """What a pass would have given with some entries of the context changed, (B, conditions, *shape)."""
    latents, rows = trace.latents, len(trace.batch)
    device = latents[0].z.device
    own = trace.batch.context
    contexts = [each(lambda value: value.to(device), {**own, **asked.at(i, rows)}) for i in range(len(asked))]
    return torch.stack([restored(run.model, under(run.model, latents, context), "mean") for context in contexts], dim=1)
