"""From models and normal rows to scores, p-values and reasons: the one place where rows are scored, wherever they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vaekit.engine.runtime import keep_pages, seeded
from vaekit.errors import DataError
from vaekit.metrics.abnormality import SCORES, Codes, Recipe, Seen, Usual, see, surprise, together, values
from vaekit.metrics.conformal import p_values
from vaekit.metrics.noise import seed_of
from vaekit.metrics.pointwise import centred, reconstruction
from vaekit.metrics.prepare import Split, chunks
from vaekit.model import VAE

EXEMPLARS = 1000  # training rows whose codes make up the aggregated posterior
READ = 4096  # rows of numbers that are read together
_SCORES = 4  # the stream of noise that belongs to scores
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Reasons:
    """What makes each row abnormal: its k most surprising numbers, the most surprising first, (n, k) each."""

    column: Tensor  # which number of the row
    nats: Tensor  # how much more it costs than its expected value would
    value: Tensor  # in the data's own units; NaN where it was not observed
    expected: Tensor  # the centre of p(x | z), in the data's own units


@dataclass(frozen=True)
class Scored:
    """Rows with their scores, in the order in which they came. Rows that could not be read are not among them."""

    numbers: Tensor  # row numbers, (n,)
    parts: Tensor  # each score that goes into the one, averaged over the models, (n, names)
    reasons: Reasons | None = None


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
        """The score of the normal rows, (m,)."""
        return together(self.normal, self.usual, self.recipe)

    def score(self, parts: Tensor) -> Tensor:
        """One score of the parts: high is abnormal, (n, names) → (n,)."""
        return together(parts, self.usual, self.recipe)

    def p_values(self, parts: Tensor) -> Tensor:
        """How likely a normal row is to score so high, (n, names) → (n,). See `conformal.p_values`."""
        return p_values(self.score(parts), self.calibration)

    def scan(
        self, rows: Split, order: Tensor | None = None, reasons: int = 0, progress: Progress | None = None
    ) -> Scored:
        """The scores of the rows `order` (m,) of a split, with so many reasons each (for rows of numbers)."""
        return scan(self.models, self.codes, rows, self.recipe.names, order, self.samples, self.seed, reasons, progress)


def scan(
    models: Sequence[VAE],
    codes: Sequence[Codes | None],
    rows: Split,
    names: Sequence[str],
    order: Tensor | None = None,
    samples: int = 0,
    seed: int = 0,
    reasons: int = 0,
    progress: Progress | None = None,
) -> Scored:
    """The parts of the rows of a split under every model, averaged. Raises `DataError` if no row can be read."""
    keep_pages()
    total = len(rows) if order is None else len(order)
    found = []
    for number, (model, known) in enumerate(zip(models, codes, strict=True)):
        numbers, parts, surprises, expected, raw = (
            list[Tensor](),
            list[Tensor](),
            list[Tensor](),
            list[Tensor](),
            list[Tensor](),
        )
        done = number * total
        with torch.no_grad(), seeded(seed, next(model.parameters()).device):
            for seen in looked_at(model, known, rows, order, samples, seed):
                parts.append(values(seen, names))
                numbers.append(seen.batch.index)  # type: ignore[arg-type]
                if reasons:
                    surprises.append(surprise(seen).cpu())
                    expected.append(reconstruction(model, seen.trace).cpu())
                    raw.append(seen.raw.x.cpu())  # type: ignore[union-attr]
                done += len(seen.batch)
                if progress is not None:
                    progress(done, total * len(models))
        if not parts:
            raise DataError(f"none of the {total} rows could be read.\n  fix: check the files")
        found.append([torch.cat(numbers), torch.cat(parts), *(torch.cat(v) for v in (surprises, expected, raw) if v)])
    numbers_, *averaged = (
        torch.stack(each).mean(0) if i else each[0] for i, each in enumerate(zip(*found, strict=True))
    )
    why = top(averaged[1], averaged[2], averaged[3], reasons) if reasons else None
    return Scored(numbers_, averaged[0], why)


def looked_at(
    model: VAE, codes: Codes | None, rows: Split, order: Tensor | None, samples: int, seed: int
) -> Iterator[Seen]:
    """The rows after one pass through a model, some at a time."""
    first = next(iter(rows.batches(torch.zeros(1, dtype=torch.long), 1)), None)
    small = first is not None and isinstance(first.x, Tensor) and first.x.ndim == 2
    read = READ if small else 0
    for chunk in chunks(model, rows, seed, order, read):
        torch.manual_seed(seed_of(seed, _SCORES, chunk.numbers[0]))
        yield see(model, chunk.raw, chunk.batch, codes, samples, chunk.fits)


def top(surprises: Tensor, expected: Tensor, x: Tensor, k: int) -> Reasons:
    """The k most surprising numbers of each row, (n, d) each."""
    nats, column = surprises.topk(min(k, surprises.shape[1]), dim=1)
    return Reasons(column, nats, x.gather(1, column), expected.gather(1, column))


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
