"""All figures of a model on held-out data, in one walk over the data."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.core import Batch, Trace
from vaekit.engine.runtime import keep_pages, seeded
from vaekit.errors import DataError
from vaekit.metrics.bounds import Scores, examples_at_once, score
from vaekit.metrics.estimate import Estimate
from vaekit.metrics.latents import LatentUse
from vaekit.metrics.noise import reseed
from vaekit.metrics.pointwise import centred
from vaekit.metrics.prepare import Chunk, Split, chunks, device_of
from vaekit.model import VAE

Progress = Callable[[int, int], None]
Visit = Callable[[Batch, Trace], None]
_LATENT = 2  # the stream of noise that belongs to z


@dataclass(frozen=True)
class Measures:
    """Bounds in nats per example of the data in its own units, and how the latent space is used."""

    samples: int
    elbo: Estimate
    importance_weighted: Estimate
    log_likelihood: Estimate  # E_q[log p(x | z)]
    kl: Estimate
    kl_per_group: Mapping[str, Estimate]
    effective_samples: Estimate  # of the importance weights, out of `samples`
    kl_per_dimension: Mapping[str, Tensor]  # group name → mean KL in nats, (*sites)
    variances: Mapping[str, Tensor]  # group name → variance over the data of the posterior's centre, (*latent)


def measure(
    model: VAE,
    rows: Split,
    samples: int,
    *,
    seed: int = 0,
    order: Tensor | None = None,
    visit: Visit | None = None,
    progress: Progress | None = None,
) -> Measures:
    """Measure a model, in eval mode and on the device of the rows, on the rows `order` of a split (by default all).

    Args:
        model: what is measured.
        rows: one split of the data, raw.
        samples: K, draws from q for each example.
        seed: of the data's noise and of z's. The data's belongs to the row's number alone. z's belongs to the rows that pass
            through the model together, which ones is a function of the model and K: single rows from some K on (at most 2048).
        order: row numbers, (m,).
        visit: called with every raw batch and the deterministic pass over it.
        progress: called with the number of rows done, and of all.

    Raises `DataError` if no row can be read.
    """
    scored: list[Scores] = []
    keep_pages()
    use = LatentUse()
    total, done = len(rows) if order is None else len(order), 0
    with torch.no_grad(), seeded(seed, next(model.parameters()).device):
        for chunk in chunks(model, rows, seed, order):
            trace = centred(model, chunk.batch)
            use.add_centres(trace)
            if visit is not None:
                visit(chunk.raw, trace)
            for scores in scores_of(model, chunk, samples, seed):
                use.add(scores)
                scored.append(scores.without_sites())
                done += len(scores.elbo)
                if progress is not None:
                    progress(done, total)
    if not scored:
        raise DataError(f"none of the {total} rows could be read.\n  fix: check the files")
    return measures(samples, scored, use)


def scores_of(model: VAE, chunk: Chunk, samples: int, seed: int) -> Iterator[Scores]:
    """The scores of a chunk, with noise for z that is a function of the seed and the row's number."""
    for part in chunk.parts(examples_at_once(samples, chunk.fits)):
        reseed(seed, _LATENT, part.numbers[0], device=device_of(part.batch))
        yield score(model, part.batch, samples, chunk.fits)


def measures(samples: int, scored: Sequence[Scores], use: LatentUse) -> Measures:
    """Means over all examples."""
    whole = concatenated(scored)
    return Measures(
        samples=samples,
        elbo=Estimate.of(whole.elbo),
        importance_weighted=Estimate.of(whole.importance_weighted),
        log_likelihood=Estimate.of(whole.log_likelihood),
        kl=Estimate.of(whole.total_kl),
        kl_per_group={name: Estimate.of(value) for name, value in whole.kl.items()},
        effective_samples=Estimate.of(whole.effective_samples),
        kl_per_dimension=use.kl(),
        variances=use.variances(),
    )


def concatenated(scored: Sequence[Scores]) -> Scores:
    """Scores of several batches as those of one."""
    return Scores(
        log_likelihood=torch.cat([scores.log_likelihood for scores in scored]),
        kl={name: torch.cat([scores.kl[name] for scores in scored]) for name in scored[0].kl},
        importance_weighted=torch.cat([scores.importance_weighted for scores in scored]),
        effective_samples=torch.cat([scores.effective_samples for scores in scored]),
    )
