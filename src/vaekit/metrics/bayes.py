"""What a conditional model says of an unknown class: the bound on log Σ_y p(y) p(x | y), and p(y | x) by Bayes' rule."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vaekit.core import Batch, ContextSpec
from vaekit.engine.runtime import keep_pages, seeded
from vaekit.errors import DataError
from vaekit.metrics.bounds import examples_at_once, score
from vaekit.metrics.noise import reseed
from vaekit.metrics.prepare import Chunk, Split, chunks, cut, device_of
from vaekit.model import VAE

FEW = 16  # samples by which classes are sorted out
CREDIBLE = 1e-3  # of p(y | x): classes below it keep the bound of the few samples
_CLASSES = 3  # the stream of noise


@dataclass(frozen=True)
class Posteriors:
    """Bounds in nats for n rows and K classes."""

    given_class: Tensor  # on log p(x | y), found without a look at the row's own class, (n, K)
    given_truth: Tensor  # on log p(x | y) of its own class, with all samples; NaN where that is unknown, (n,)
    log_shares: Tensor  # log p(y), (K,)
    truth: Tensor  # class numbers, −1 unknown, (n,)

    @property
    def joint(self) -> Tensor:
        """On log p(x, y), (n, K)."""
        return self.given_class + self.log_shares

    @property
    def marginal(self) -> Tensor:
        """On log Σ_y p(y) p(x | y), (n,)."""
        return self.joint.logsumexp(1)

    @property
    def predicted(self) -> Tensor:
        """The class with the highest p(y | x), (n,)."""
        return self.joint.argmax(1)


def classify(
    model: VAE,
    rows: Split,
    name: str,
    entry: ContextSpec,
    samples: int,
    *,
    seed: int = 0,
    order: Tensor | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Posteriors:
    """Score every row under every class of one entry of the context, the other entries hidden.

    With the others given it would be a bound on log p(x | them), and the weights would have to be p(y | them).

    p̂(x | y) is the mean of importance weights, whose expectation is p(x | y); a sum of such means over the classes, with the
    weights p(y), has the expectation p(x), so its logarithm is a lower bound on average (Jensen), whatever the number of
    samples of each. So all classes get a few samples, and the credible ones are scored anew with all of them; where the few
    are kept, they are low, so what is lost is lost from below. The row's own class has no part in that choice: it would be
    told to the classifier. Its bound stands apart.

    Args:
        model: what is measured.
        rows: one split of the data, raw.
        name: the entry of the context.
        entry: what it is: a category.
        samples: K of the importance-weighted bound.
        seed: of all noise.
        order: row numbers, (m,); by default all.
        progress: called with the number of rows done, and of all.

    Raises `DataError` if no row can be read.

    References: Burda, Grosse, Salakhutdinov (2016), Importance weighted autoencoders, eq. 8.
    """
    keep_pages()
    shares = torch.tensor(entry.shares, dtype=torch.float64).log()
    found, own, truth = list[Tensor](), list[Tensor](), list[Tensor]()
    total, done = len(rows) if order is None else len(order), 0
    with torch.no_grad(), seeded(seed, next(model.parameters()).device):
        for chunk in chunks(model, rows, seed, order):
            known = chunk.raw.context.get(name)
            truth.append(torch.full((len(chunk),), -1) if known is None else known.cpu())
            for part in chunk.parts(examples_at_once(min(samples, FEW), chunk.fits)):
                reseed(seed, _CLASSES, part.numbers[0], device=device_of(part.batch))
                found.append(under_classes(model, part, name, shares, samples))
                own.append(under_truth(model, part, name, samples))
                done += len(part)
                if progress is not None:
                    progress(done, total)
    if not found:
        raise DataError(f"none of the {total} rows could be read.\n  fix: check the files")
    return Posteriors(torch.cat(found), torch.cat(own), shares, torch.cat(truth))


def under_classes(model: VAE, chunk: Chunk, name: str, log_shares: Tensor, samples: int) -> Tensor:
    """The bound on log p(x | y) of the rows of a chunk under every class, (B, K)."""
    few, classes = min(samples, FEW), len(log_shares)
    batch = chunk.batch
    columns = [bound(model, given(batch, name, torch.full((len(batch),), k)), few, chunk.fits) for k in range(classes)]
    found = torch.stack(columns, dim=1)  # (B, K)
    if samples <= FEW:
        return found
    likely = (found + log_shares).log_softmax(1).exp() >= CREDIBLE
    row, k = likely.nonzero(as_tuple=True)
    for at in torch.split(torch.arange(len(row)), examples_at_once(samples, chunk.fits)):
        some = cut(chunk.batch, row[at])
        found[row[at], k[at]] = bound(model, given(some, name, k[at]), samples, chunk.fits)
    return found


def under_truth(model: VAE, chunk: Chunk, name: str, samples: int) -> Tensor:
    """The bound on log p(x | y) of the rows of a chunk under their own class, NaN where it is unknown, (B,)."""
    truth = chunk.batch.context.get(name, torch.full((len(chunk),), -1)).cpu()
    found = torch.full((len(chunk),), torch.nan, dtype=torch.float64)
    known = (truth >= 0).nonzero()[:, 0]
    for rows in torch.split(known, examples_at_once(samples, chunk.fits)):
        if len(rows):
            found[rows] = bound(model, given(cut(chunk.batch, rows), name, truth[rows]), samples, chunk.fits)
    return found


def bound(model: VAE, batch: Batch, samples: int, fits: int) -> Tensor:
    """The importance-weighted bound, (B,), in double precision on the CPU."""
    return score(model, batch, samples, fits).importance_weighted.double().cpu()


def given(batch: Batch, name: str, numbers: Tensor) -> Batch:
    """The batch with classes (B,) as its whole context."""
    device = batch.x.device if isinstance(batch.x, Tensor) else None
    return replace(batch, context={name: numbers.to(device)})
