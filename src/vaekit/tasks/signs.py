"""What the doctor measures: a quick walk over some of the data."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Bernoulli, Normal

from vaekit.core import Batch, DataSpec, Trace
from vaekit.engine.runtime import seeded
from vaekit.metrics import centred
from vaekit.metrics.latents import ACTIVE_VARIANCE, LatentUse
from vaekit.metrics.measures import scores_of
from vaekit.run import Run
from vaekit.tasks.rows import Chosen, Progress, walk

# Under a model that is right, an outcome less likely than UNLIKELY / (number of outcomes) comes up in at most the share
# UNLIKELY of all cases: there are that many outcomes, each with less than that probability.
UNLIKELY = 1e-3
EDGE = 6.5  # |log(σ of q / σ of p)| from which a posterior's scale is at the end of its range (e^6.5 ≈ 665)


@dataclass(frozen=True)
class Signs:
    """Figures on n rows: shares are of all sites, or of all latent dimensions of all rows."""

    n: int
    split: str
    elbo: float  # nats per example
    kl: float
    kl_per_dimension: Tensor  # (sites,)
    dimensions: int
    inactive: int  # dimensions whose centre hardly moves
    unlikely: float | None  # share of values the model thought next to impossible; None for continuous data
    calibration: float | None  # mean of ((x − μ) / σ)², 1 where σ is right; None for other families
    at_edge: float  # share of posterior scales at the end of their range
    not_finite: float  # share of the raw values
    outside: float  # share of the raw values that are no level
    farthest: float  # from the training data's mean, in its standard deviations; 0 for data with levels
    distinct: int  # different raw values, of data with levels
    between: float  # share of the raw values that are neither the lowest nor the highest level


class Tally:
    """Sums of one kind of event, and of the chances for it."""

    def __init__(self) -> None:
        self.total, self.chances = 0.0, 0

    def add(self, values: Tensor) -> None:
        """Take in values, or true and false, of any shape."""
        self.total += float(values.double().sum() if values.device.type != "mps" else values.float().sum())
        self.chances += values.numel()

    @property
    def share(self) -> float:
        """Mean per chance."""
        return self.total / max(1, self.chances)


def read_signs(run: Run, where: Chosen, split: str, seed: int, progress: Progress | None) -> Signs:
    """One walk over the chosen rows."""
    reader, elbo, kl, use = Reader(run.spec), Tally(), Tally(), LatentUse()
    with torch.no_grad(), seeded(seed, next(run.model.parameters()).device):
        for chunk in walk(run, where, seed, progress):
            reader.add_raw(chunk.raw)
            reader.centres.add_centres(centred(run.model, chunk.batch))
            reader.add_trace(run.model(chunk.batch))
            for scores in scores_of(run.model, chunk, 1, seed):
                use.add(scores)
                elbo.add(scores.elbo)
                kl.add(scores.total_kl)
    return reader.signs(split, elbo, kl, use)


class Reader:
    """Collects the signs."""

    def __init__(self, spec: DataSpec) -> None:
        self.spec = spec
        self.unlikely, self.misfit, self.edge = Tally(), Tally(), Tally()
        self.not_finite, self.outside, self.between = Tally(), Tally(), Tally()
        self.farthest = 0.0
        self.distinct: set[float] = set()
        self.centres = LatentUse()

    def add_raw(self, raw: Batch) -> None:
        """Raw rows. What was not observed is no mistake."""
        x = raw.x
        assert isinstance(x, Tensor), "named parts have no common range"
        finite = torch.isfinite(x)
        self.not_finite.add(~finite & raw.mask.bool() if isinstance(raw.mask, Tensor) else ~finite)
        levels = self.spec.levels
        if levels is None:
            axes = [1] * (len(self.spec.shape) - 1)
            mean, scale = (
                torch.tensor(part, device=x.device).reshape(-1, *axes) for part in (self.spec.mean, self.spec.scale)
            )
            distance = torch.where(finite, (x - mean).abs() / scale, 0.0)
            self.farthest = max(self.farthest, float(distance.max()))
            return
        self.outside.add((x < 0) | (x > levels - 1))
        self.between.add((x > 0) & (x < levels - 1))
        if len(self.distinct) < levels:
            self.distinct |= set(torch.unique(x).tolist())

    def add_trace(self, trace: Trace) -> None:
        """A pass with one draw."""
        for latent in trace.latents:
            if isinstance(latent.q, Normal) and isinstance(latent.p, Normal):
                ratio = (latent.q.stddev / latent.p.stddev).log().abs()
                self.edge.add(~(ratio < EDGE))
        if self.spec.levels is not None:
            values = trace.log_likelihood()[0]  # (B, *sites)
            self.unlikely.add(~(values > math.log(UNLIKELY) - self.log_outcomes(trace)))
        likelihood = trace.likelihood
        if isinstance(likelihood, Normal) and isinstance(trace.batch.x, Tensor):
            self.misfit.add(((trace.batch.x - likelihood.mean) / likelihood.stddev).square())

    def log_outcomes(self, trace: Trace) -> float:
        """log of the number of values that a site of the likelihood can take (a site may be a pixel of three channels)."""
        if isinstance(trace.likelihood, Bernoulli):
            return math.log(2)
        sites = max(1, trace.log_likelihood()[0, 0].numel())
        return self.spec.dimensions / sites * math.log(self.spec.levels or 1)

    def signs(self, split: str, elbo: Tally, kl: Tally, use: LatentUse) -> Signs:
        """Everything that was read."""
        variances = torch.cat([value.flatten() for value in self.centres.variances().values()])
        return Signs(
            n=elbo.chances,
            split=split,
            elbo=elbo.share,
            kl=kl.share,
            kl_per_dimension=torch.cat([value.flatten() for value in use.kl().values()]),
            dimensions=len(variances),
            inactive=int((variances <= ACTIVE_VARIANCE).sum()),
            unlikely=self.unlikely.share if self.unlikely.chances else None,
            calibration=self.misfit.share if self.misfit.chances else None,
            at_edge=self.edge.share,
            not_finite=self.not_finite.share,
            outside=self.outside.share,
            farthest=self.farthest,
            distinct=len(self.distinct),
            between=self.between.share,
        )
