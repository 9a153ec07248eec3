"""From models and normal rows to scores, p-values and reasons: the one place where rows are scored, wherever they come from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor, nn

from vaekit.core import Latent
from vaekit.engine.runtime import keep_pages, seeded
from vaekit.errors import DataError
from vaekit.metrics.abnormality import Codes, Recipe, Seen, Usual, see, together, values
from vaekit.metrics.conformal import p_values
from vaekit.metrics.noise import reseed
from vaekit.metrics.pointwise import centre, centred
from vaekit.metrics.prepare import Split, chunks, device_of, evenly
from vaekit.metrics.reasons import Reasons, repairs
from vaekit.model import VAE

EXEMPLARS = 1000  # training rows whose codes make up the aggregated posterior
READ = 4096  # rows of numbers that are read together
ROUNDING = 1e-5  # of the spread of scores: products of matrices differ in the last digits with the rows beside a row
_SCORES = 4  # the stream of noise that belongs to scores
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Scored:
    """Rows with their scores, in the order in which they came. Rows that could not be read are not among them."""

    numbers: Tensor  # row numbers, (n,)
    parts: Tensor  # each score that goes into the one, averaged over the models, (n, names)


@dataclass(frozen=True)
class Detector:
    """One or several models of the same data; scores; and normal rows that none of the models was trained on.

    With several models each score is the average of theirs. Several scores are standardized by training rows: by a scale that
    the normal rows had no part in, so that these and new rows are treated alike, and p-values are exact.
    `codes` has an entry a model: None where no training rows are known.
    """

    models: Sequence[VAE]
    recipe: Recipe
    codes: Sequence[Codes | None]
    normal: Tensor  # the parts of the normal rows, (m, names)
    reference: Tensor | None = None  # those of training rows, (r, names); None: the normal rows stand in for them
    samples: int = 0
    seed: int = 0

    @cached_property
    def usual(self) -> Usual:
        """What the scores of rows are usually."""
        return Usual.of(self.normal if self.reference is None else self.reference)

    @cached_property
    def calibration(self) -> Tensor:
        """The score of the normal rows, (m,), raised by what rounding can do, so that a row like one of them ties with it."""
        found = together(self.normal, self.usual, self.recipe)
        return found + ROUNDING * (found.quantile(0.9) - found.quantile(0.1)).clamp(min=1e-6)

    def score(self, parts: Tensor) -> Tensor:
        """One score of the parts: high is abnormal, (n, names) → (n,)."""
        return together(parts, self.usual, self.recipe)

    def p_values(self, parts: Tensor) -> Tensor:
        """How likely a normal row is to score so high, (n, names) → (n,). See `conformal.p_values`."""
        return p_values(self.score(parts), self.calibration)

    def without(self, share: float) -> Detector:
        """The same compared with fewer rows: the share of the highest scores, which is in truth abnormal, left out."""
        if not share:
            return self
        kept = self.calibration.argsort(stable=True)[: max(1, round(len(self.normal) * (1 - share)))]
        return replace(self, normal=self.normal[kept.sort().values])

    def scan(self, rows: Split, order: Tensor | None = None, progress: Progress | None = None) -> Scored:
        """The parts of the rows `order` (n,) of a split, by default all."""
        return scan(self.models, self.codes, rows, self.recipe.names, order, self.samples, self.seed, progress)

    def reasons(self, rows: Split, order: Tensor, k: int) -> Reasons:
        """The k columns that make each of the rows `order` (n,) of a split of numbers abnormal."""
        return repairs(self.models, rows, order, self.seed).dearest(k)


def scan(
    models: Sequence[VAE],
    codes: Sequence[Codes | None],
    rows: Split,
    names: Sequence[str],
    order: Tensor | None = None,
    samples: int = 0,
    seed: int = 0,
    progress: Progress | None = None,
) -> Scored:
    """The parts of the rows of a split under every model, averaged. Raises `DataError` if no row can be read."""
    keep_pages()
    total = len(rows) if order is None else len(order)
    found, numbers = list[Tensor](), list[Tensor]()
    for number, (model, known) in enumerate(zip(models, codes, strict=True)):
        parts, done = list[Tensor](), number * total
        numbers.clear()
        with torch.no_grad(), seeded(seed, next(model.parameters()).device):
            for seen in looked_at(model, known, rows, order, samples, seed):
                assert seen.batch.index is not None, "prepared rows have numbers"
                parts.append(values(seen, names))
                numbers.append(seen.batch.index)
                done += len(seen.batch)
                if progress is not None:
                    progress(done, total * len(models))
        if not parts:
            raise DataError(f"none of the {total} rows could be read.\n  fix: check the files")
        found.append(torch.cat(parts))
    return Scored(torch.cat(numbers), torch.stack(found).mean(0))


def looked_at(
    model: VAE, codes: Codes | None, rows: Split, order: Tensor | None, samples: int, seed: int
) -> Iterator[Seen]:
    """The rows after one pass through a model, some at a time."""
    first = next(iter(rows.batches(torch.arange(min(1, len(rows))), 1)), None)
    small = first is not None and isinstance(first.x, Tensor) and first.x.ndim == 2
    read = READ if small else 0
    for chunk in chunks(model, rows, seed, order, read):
        reseed(seed, _SCORES, chunk.numbers[0], device=device_of(chunk.batch))
        yield see(model, chunk.raw, chunk.batch, codes, samples, chunk.fits)


def codes_of(model: VAE, rows: Split, seed: int = 0) -> Codes:
    """The posteriors of an even choice of at most `EXEMPLARS` rows of a split, and what their numbers cost: of training rows.

    Raises `DataError` for a posterior without a standard deviation, or if no row can be read.
    """
    means, scales, costs, errors = list[Tensor](), list[Tensor](), list[Tensor](), list[Tensor]()
    with torch.no_grad():
        for chunk in chunks(model, rows, seed, exemplars(len(rows))):
            trace = centred(model, chunk.batch)
            means.append(torch.cat([latent.z.flatten(1) for latent in trace.latents], dim=1))
            scales.append(torch.cat([spread(latent).flatten(1) for latent in trace.latents], dim=1))
            if isinstance(chunk.batch.x, Tensor) and chunk.batch.x.ndim == 2:
                observed = gapless(chunk.batch.x) if chunk.batch.mask is None else chunk.batch.mask
                squared = (chunk.batch.x - centre(trace.likelihood)).square()
                costs.append(torch.where(observed.bool(), -trace.log_likelihood()[0], torch.nan))  # type: ignore[union-attr]
                errors.append(torch.where(observed.bool(), squared, torch.nan))  # type: ignore[union-attr]
    if not means:
        raise DataError("none of the training rows could be read.\n  fix: check the files")
    usual = [torch.cat(values).nanmean(0).nan_to_num(0.0) if values else None for values in (costs, errors)]
    return Codes(torch.cat(means), torch.cat(scales), *usual)


def gapless(x: Tensor) -> Tensor:
    """A mask of rows that are whole."""
    return torch.ones_like(x, dtype=torch.bool)


def spread(latent: Latent) -> Tensor:
    """The standard deviation of q. Raises `DataError` for a family that has none."""
    try:
        assert latent.q is not None, "training rows were inferred"
        return latent.q.stddev
    except NotImplementedError:
        raise DataError("the scores of training rows need a posterior with a standard deviation") from None


def exemplars(total: int) -> Tensor:
    """The training rows whose codes are kept, evenly spaced."""
    return evenly(total, min(total, EXEMPLARS))


def others(total: int) -> Tensor:
    """Training rows that scores are standardized by: others than the exemplars, where there are enough."""
    order = exemplars(total)
    return order if total < 2 * len(order) else (order + total // (2 * len(order))) % total


def digest(*values: object) -> str:
    """SHA-256 of tensors, models and plain values: to tell whether anything has changed."""
    total = hashlib.sha256()
    for value in values:
        if isinstance(value, nn.Module):
            parts = [*value.parameters(), *value.buffers()]
        else:
            parts = [value] if isinstance(value, Tensor) else []
            total.update(b"" if parts else repr(value).encode())
        for part in parts:
            total.update(part.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return total.hexdigest()
