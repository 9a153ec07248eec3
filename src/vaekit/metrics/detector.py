"""From models and normal rows to scores, p-values and reasons: the one place where rows are scored, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vaekit.engine.runtime import keep_pages, seeded
from vaekit.errors import DataError
from vaekit.metrics.abnormality import SCORES, Codes, Recipe, Seen, Usual, see, together, values
from vaekit.metrics.conformal import p_values
from vaekit.metrics.noise import reseed
from vaekit.metrics.pointwise import centred
from vaekit.metrics.prepare import Split, chunks, device_of
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

    With several models each score is the average of theirs. Several scores are standardized by the normal rows.
    `codes` has an entry a model, where the scores need codes of training rows.
    """

    models: Sequence[VAE]
    recipe: Recipe
    codes: Sequence[Codes | None]
    normal: Tensor  # the parts of the normal rows, (m, names)
    samples: int = 0
    seed: int = 0

    @cached_property
    def usual(self) -> Usual:
        """What the scores of normal rows are usually."""
        return Usual.of(self.normal)

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
    """The posteriors of an even choice of at most `EXEMPLARS` rows of a split: give it training rows.

    Raises `DataError` for a posterior without a standard deviation, or if no row can be read.
    """
    order = torch.linspace(0, len(rows) - 1, min(len(rows), EXEMPLARS)).long()
    means, scales = list[Tensor](), list[Tensor]()
    with torch.no_grad():
        for chunk in chunks(model, rows, seed, order):
            latents = centred(model, chunk.batch).latents
            means.append(torch.cat([latent.z.flatten(1) for latent in latents], dim=1))
            scales.append(torch.cat([latent.q.stddev.flatten(1) for latent in latents], dim=1))  # type: ignore[union-attr]
    if not means:
        raise DataError("none of the training rows could be read.\n  fix: check the files")
    return Codes(torch.cat(means), torch.cat(scales))


def needs_codes(names: Sequence[str]) -> bool:
    """Whether any of the scores needs codes of training rows."""
    return any(SCORES[name].needs_codes for name in names)
