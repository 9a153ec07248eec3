"""Bounds on log p(x) of single examples, read off the one trace, in memory that does not grow with the samples."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vaekit.core import Batch, Trace, sum_sites
from vaekit.model import VAE


@dataclass(frozen=True)
class Scores:
    """Figures of B examples in nats, averaged over nothing but the samples."""

    log_likelihood: Tensor  # E_q[log p(x | z)]                          (B,)
    kl: Mapping[str, Tensor]  # group name → KL[q ‖ p]                    (B, *sites)
    importance_weighted: Tensor  # log 1/K Σ p(x, z) / q(z | x)           (B,)
    effective_samples: Tensor  # (Σ w)² / Σ w², of the K                  (B,)

    @property
    def total_kl(self) -> Tensor:
        """Over all groups and sites, (B,)."""
        return torch.stack([sum_sites(value, 1) for value in self.kl.values()]).sum(0)

    @property
    def elbo(self) -> Tensor:
        """E_q[log p(x | z)] − KL[q ‖ p], (B,)."""
        return self.log_likelihood - self.total_kl

    def without_sites(self) -> Scores:
        """The same with the KL summed over sites: small enough to be kept for all examples."""
        return replace(self, kl={name: sum_sites(value, 1) for name, value in self.kl.items()})


@dataclass(frozen=True)
class Part:
    """The same of some of the samples, in a form that can be averaged."""

    samples: int
    log_likelihood: Tensor  # (B,)
    kl: Mapping[str, Tensor]  # (B, *sites)
    log_weight: Tensor  # log of the mean importance weight               (B,)
    log_square: Tensor  # log of the mean squared importance weight       (B,)


def score(model: VAE, batch: Batch, samples: int, rows: int) -> Scores:
    """The scores of a prepared batch with K = `samples` draws an example, at most `rows` rows at once.

        importance-weighted bound = log 1/K Σ_k p(x, z_k) / q(z_k | x),   z_k ~ q(z | x)

    It is at least the ELBO, rises with K in expectation, and never exceeds log p(x) in expectation. Where the effective
    samples are few, it is still far below.

    References: Burda, Grosse, Salakhutdinov (2016), Importance weighted autoencoders.
    """
    return join([part(model(batch, samples=size), size) for size in pieces(samples, rows // len(batch))])


def part(trace: Trace, samples: int) -> Part:
    """What one pass says."""
    log_likelihood = sum_sites(trace.log_likelihood())  # (S, B)
    ratio = log_likelihood + trace.latent_log_ratio()  # (S, B)
    return Part(
        samples=samples,
        log_likelihood=trace.expect(log_likelihood),
        kl={name: trace.expect(value) for name, value in trace.kl().items()},
        log_weight=trace.log_mean_exp(ratio),
        log_square=trace.log_mean_exp(2 * ratio),
    )


def join(parts: list[Part]) -> Scores:
    """Averages over all samples, with a running log-sum-exp for those of exponentials."""
    shares = torch.tensor([float(part.samples) for part in parts], dtype=torch.float64)
    shares = (shares / shares.sum()).to(parts[0].log_likelihood)
    log_weight = mean_exp([part.log_weight for part in parts], shares)
    log_square = mean_exp([part.log_square for part in parts], shares)
    return Scores(
        log_likelihood=mean([part.log_likelihood for part in parts], shares),
        kl={name: mean([part.kl[name] for part in parts], shares) for name in parts[0].kl},
        importance_weighted=log_weight,
        effective_samples=sum(part.samples for part in parts) * torch.exp(2 * log_weight - log_square),
    )


def mean(values: list[Tensor], shares: Tensor) -> Tensor:
    """Σ share · value."""
    return values[0] if len(values) == 1 else torch.tensordot(shares, torch.stack(values), dims=1)


def mean_exp(values: list[Tensor], shares: Tensor) -> Tensor:
    """log Σ share · exp(value), (B,)."""
    return values[0] if len(values) == 1 else (torch.stack(values) + shares.log()[:, None]).logsumexp(0)


def pieces(samples: int, most: int) -> Iterator[int]:
    """`samples` as a sum of numbers of at most `most`, all but the last alike.

    >>> list(pieces(10, 4)), list(pieces(3, 8))
    ([4, 4, 2], [3])
    """
    most = max(1, most)
    yield from [most] * (samples // most)
    if rest := samples % most:
        yield rest


def examples_at_once(samples: int, rows: int) -> int:
    """How many examples go into one pass, if each takes so many samples."""
    return max(1, rows // samples)
