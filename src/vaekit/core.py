"""The vocabulary: what a batch is, what stands to the right of a bar, and what one pass through a model recorded.

    p(x, z | c) = p(x | z, c) · Π_l p(z_l | z_<l, c)          likelihood, prior
    q(z | x, c) = Π_l q(z_l | z_<l, x, c)                     posterior
    log p(x | c) ≥ F[ log p(x, z | c) − log q(z | x, c) ]     objective: a functional of the log-ratio

Axes: `S` samples, `B` data, `N = S·B` rows (sample-major: row `s·B + b`), `L` latent groups, `sites` everything to the
right of the rows. Nothing to the right of the row axis is summed before the end, so masks, free bits per dimension, active
units and attribution read the same record. A distribution with a non-empty `event_shape` declares that it has no sites there.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias

import torch
from torch import Tensor, nn
from torch.distributions import Distribution, kl_divergence

from vaekit.errors import DataError

Data: TypeAlias = Tensor | Mapping[str, Tensor]


@dataclass(frozen=True)
class ContextSpec:
    """What one entry of the context is: a category with named classes, or `size` numbers (an attribute, an embedding).

    A category is stored as class numbers `(n,)`, −1 where unknown, numbers as floats `(n, size)`, NaN where unknown. `shares`
    are those of the classes, `mean`, `scale`, `low` and `high` describe each number; all of them are of the training rows
    where the entry is known.
    """

    classes: tuple[str, ...] = ()  # empty: numbers
    shares: tuple[float, ...] = ()
    size: int = 1
    mean: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    low: tuple[float, ...] = ()
    high: tuple[float, ...] = ()

    @property
    def is_category(self) -> bool:
        """Whether it is one of some classes, rather than numbers."""
        return bool(self.classes)

    def unknown(self, rows: int) -> Tensor:
        """The entry where nothing is known, `(rows,)` or `(rows, size)`."""
        return torch.full((rows,), -1) if self.is_category else torch.full((rows, self.size), math.nan)


@dataclass(frozen=True)
class DataSpec:
    """What the data is: saved with a run, read by likelihoods and metrics.

    `shape` is one example's: `(C, H, W)` for images, `(D,)` for rows of a table. `levels` is K for data that takes the
    values 0 … K−1 (8-bit images: 256), None for continuous data. Continuous data is modelled as `(x − mean) / scale`;
    the log-determinant of that map is in every reported figure. `classes` names the labels, where there are labels. `context`
    are the entries that condition the model, by name.
    """

    shape: tuple[int, ...]
    levels: int | None = None
    mean: tuple[float, ...] = (0.0,)
    scale: tuple[float, ...] = (1.0,)
    names: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    context: Mapping[str, ContextSpec] = field(default_factory=dict)

    @property
    def dimensions(self) -> int:
        """Numbers in one example: what bits per *dimension* divide by."""
        return math.prod(self.shape)

    @property
    def is_image(self) -> bool:
        """Whether an example can be drawn: one or three channels, two axes."""
        return len(self.shape) == 3 and self.shape[0] in (1, 3)


@dataclass(frozen=True)
class Batch:
    """What data yields. `mask` is 1 where a value was observed; `observed` holds (partly) observed latent groups by name.

    `x` is a tensor, or named parts (the columns of a mixed table, modalities); the sites of parts stand side by side in the
    order of `x`. A mask broadcasts to the sites of log p(x | z); a part's mask has that part's shape, and a part without
    one was observed.

    `log_det` is log |dx/d data| of the preparation, per site: it turns densities of the prepared `x` into densities (or
    probabilities) of the data in its own units. `index` are row numbers, so that outputs stay in input order.
    """

    x: Data  # (B, *data)
    mask: Data | None = None
    context: Mapping[str, Tensor] = field(default_factory=dict)
    observed: Mapping[str, Tensor] = field(default_factory=dict)
    index: Tensor | None = None
    log_det: Tensor | float = 0.0

    def __len__(self) -> int:
        return len(self.x if isinstance(self.x, Tensor) else next(iter(self.x.values())))


@dataclass(frozen=True)
class Given:
    """Everything to the right of the bar. Priors and likelihoods never see `evidence` or `observed`."""

    rows: int
    state: Tensor | None = None  # deterministic summary of z_<l                       (N, *state)
    evidence: Any = None  # what the encoder made of x; a pyramid for a ladder          (N, *features)
    context: Tensor | None = None  # embedded c                                         (N, C)
    observed: Mapping[str, Tensor] = field(default_factory=dict)  # by group name       (N, ...)

    def without_evidence(self) -> Given:
        """The view of a prior or a likelihood."""
        return Given(rows=self.rows, state=self.state, context=self.context)


class Conditional(nn.Module, ABC):
    """A distribution given something: priors and likelihoods."""

    @abstractmethod
    def forward(self, given: Given) -> Distribution:
        """p(· | given), with `given.rows` rows."""


class Likelihood(Conditional):
    """p(x | z, c). Besides, it owns its domain and the preparation of the data."""

    @abstractmethod
    def prepare(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """Data in its own units → what the encoder sees and the density scores (binarized, dequantized, standardized)."""

    @abstractmethod
    def restore(self, x: Tensor) -> Tensor:
        """Prepared units → the data's own units (grey levels as floats; original scale)."""


@dataclass(frozen=True)
class Proposal:
    """What a posterior proposes: q, and what else the loop and the objectives need to know.

    `z` is a value that was drawn together with q (a flow run forwards, bottom-up inference): q may depend on it, so the KL
    is estimated from it, never taken in closed form. (Straight-through values are not that: `q.rsample()` gives them.)
    `enumerate` lists all K values `(K, *latent)` to sum over instead of sampling; `penalties` are further terms of a loss
    in nats, `(N,)` each, never part of a reported bound; `code` are the indices of a quantized group.
    """

    q: Distribution
    z: Tensor | None = None
    enumerate: Tensor | None = None
    penalties: Mapping[str, Tensor] = field(default_factory=dict)
    code: Tensor | None = None


class Posterior(nn.Module, ABC):
    """q(z_l | z_<l, x, c). `support` is the number of values that are enumerated rather than sampled (1: sampled)."""

    support: int = 1

    @abstractmethod
    def forward(self, given: Given) -> Proposal:
        """The proposal for `given.rows` rows."""


@dataclass(frozen=True)
class Latent:
    """One latent group in one pass: the value, its prior, and (where it was inferred) its posterior."""

    name: str
    z: Tensor  # (N, *latent)
    p: Distribution
    q: Distribution | None = None
    log_q_path: Tensor | None = None  # log q(z) as a function of the values alone: q's parameters are constants
    penalties: Mapping[str, Tensor] = field(default_factory=dict)
    enumerated: bool = False
    drawn: bool = False  # z came with q: no closed form
    code: Tensor | None = None

    def log_p(self) -> Tensor:
        """log p(z_l | z_<l), (N, *sites)."""
        return self.p.log_prob(self.z)

    def log_q(self, path: bool = False) -> Tensor:
        """log q(z_l | z_<l, x), (N, *sites); with `path` the parameters of q are constants."""
        if path:
            assert self.log_q_path is not None, f"the pass did not record the path of group '{self.name}'"
            return self.log_q_path
        assert self.q is not None, f"group '{self.name}' was not inferred"
        return self.q.log_prob(self.z)

    def kl(self) -> Tensor:
        """KL[q ‖ p] where a closed form is registered, else the one-sample estimate log q − log p, (N, *sites)."""
        if self.q is None or self.drawn:
            return self.sampled_kl()
        try:
            return kl_divergence(self.q, self.p)
        except NotImplementedError:
            return self.sampled_kl()

    def sampled_kl(self) -> Tensor:
        """log q(z) − log p(z) at the recorded z, with the sites that both have, (N, *sites)."""
        log_q, log_p = self.log_q(), self.log_p()
        keep = min(log_q.ndim, log_p.ndim)
        return sum_sites(log_q, keep) - sum_sites(log_p, keep)


@dataclass(frozen=True)
class Trace:
    """What happened in one pass; nothing reduced. Every objective and every metric reads this record."""

    batch: Batch
    latents: Sequence[Latent]
    likelihood: Distribution
    samples: int  # S
    log_weight: Tensor | None = None  # (S, B), summing to one over S; None: all samples weigh 1/S

    def rows_to_samples(self, values: Tensor) -> Tensor:
        """(N, *sites) → (S, B, *sites)."""
        if self.samples == 1:
            return values.unsqueeze(0)
        return values.reshape(self.samples, len(self.batch), *values.shape[1:])

    def log_likelihood(self) -> Tensor:
        """log p(x | z, c) in the data's units, zero where x was not observed, (S, B, *sites).

        What lies under the mask must be finite (`Likelihood.prepare` fills it): NaN · 0 is NaN in a gradient.
        """
        x = repeat(self.batch.x, self.samples)
        values = self.rows_to_samples(self.likelihood.log_prob(x))
        if isinstance(self.batch.log_det, Tensor) or self.batch.log_det:
            values = values + self.log_det(values)
        if self.batch.mask is None:
            return values
        return torch.where(site_mask(self.batch.mask, self.batch.x, values), values, 0.0)

    def log_det(self, values: Tensor) -> Tensor | float:
        """log |dx/d data| for the sites of `values` (S, B, *sites): summed over what is not a site there."""
        x, log_det, keep = self.batch.x, self.batch.log_det, values.ndim - 1
        if isinstance(x, Tensor) and x.ndim > keep:
            return sum_sites(torch.as_tensor(log_det, dtype=values.dtype, device=values.device).expand_as(x), keep)
        return log_det

    def kl(self) -> dict[str, Tensor]:
        """Group name → KL[q ‖ p] per site, (S, B, *sites)."""
        return {latent.name: self.rows_to_samples(latent.kl()) for latent in self.latents}

    def penalties(self) -> dict[str, Tensor]:
        """`group/penalty` → further terms of a loss, (S, B)."""
        return {
            f"{latent.name}/{name}": self.rows_to_samples(value)
            for latent in self.latents
            for name, value in latent.penalties.items()
        }

    def log_ratio(self, path: bool = False) -> Tensor:
        """log p(x, z | c) − log q(z | x, c) at the sampled z, (S, B)."""
        return sum_sites(self.log_likelihood()) + self.latent_log_ratio(path)

    def latent_log_ratio(self, path: bool = False) -> Tensor:
        """log p(z | c) − log q(z | x, c) at the sampled z, (S, B): the log-ratio without the log-likelihood."""
        ratios = [sum_sites(self.rows_to_samples(latent.log_p())) for latent in self.latents]
        ratios += [-sum_sites(self.rows_to_samples(latent.log_q(path))) for latent in self.latents]
        return torch.stack(ratios).sum(0)

    def expect(self, values: Tensor) -> Tensor:
        """E over the samples, (S, B, ...) → (B, ...): the one place where the sample axis is averaged; safe at log 0."""
        if self.log_weight is None:
            return values.squeeze(0) if self.samples == 1 else values.mean(0)
        weight = self.log_weight.exp()
        weight = weight.reshape(weight.shape + (1,) * (values.ndim - 2))
        # A weight of zero times an infinite value (the log of that zero) is zero, also in the gradient; NaN stays NaN.
        return (weight * torch.where(weight != 0, values, 0.0)).sum(0)

    def log_mean_exp(self, values: Tensor) -> Tensor:
        """log E[exp(values)] over the samples, (S, B) → (B,): of `log_ratio()`, the importance-weighted bound.

        References: Burda, Grosse, Salakhutdinov (2016), Importance weighted autoencoders, eq. 8.
        """
        if self.log_weight is None:
            return values.logsumexp(0) - math.log(self.samples)
        possible = self.log_weight != -math.inf
        weighted = torch.where(possible, self.log_weight + torch.where(possible, values, 0.0), -math.inf)
        return weighted.logsumexp(0)


@dataclass(frozen=True)
class Bound:
    """What an objective returns: the loss to descend, and the plain bound's terms, in nats per example."""

    loss: Tensor  # ()
    terms: Mapping[str, Tensor]  # each ()


class Objective(Protocol):
    """A functional of the trace. `samples` and `path` say what kind of trace it wants."""

    @property
    def samples(self) -> int: ...

    @property
    def path(self) -> bool: ...

    def __call__(self, trace: Trace, step: int) -> Bound: ...


def each(function: Callable[[Tensor], Tensor], values: Any) -> Any:
    """`function` of a tensor, or of every tensor in any nesting of mappings and sequences; anything else stays as it is."""
    if isinstance(values, Tensor):
        return function(values)
    if isinstance(values, Mapping):
        return {name: each(function, value) for name, value in values.items()}
    if isinstance(values, list | tuple):
        return type(values)([each(function, value) for value in values])
    return values


def repeat(values: Any, samples: int) -> Any:
    """(B, ...) → (S·B, ...), sample-major, for a tensor or any nesting of mappings and sequences of tensors."""
    if samples == 1:
        return values
    return each(lambda value: value.unsqueeze(0).expand(samples, *value.shape).flatten(0, 1), values)


def sum_sites(values: Tensor, keep: int = 2) -> Tensor:
    """(S, B, *sites) → (S, B): what stands to the right of the first `keep` axes, summed."""
    return values.sum(tuple(range(keep, values.ndim))) if values.ndim > keep else values


def full(values: Tensor) -> Tensor:
    """Half-precision outputs of a network as float32, where densities are computed; other types as they are."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def site_mask(mask: Data, x: Data, values: Tensor) -> Tensor:
    """The mask as booleans that broadcast to `values`, (S, B, *sites). Named parts stand side by side, in the order of `x`."""
    if not isinstance(mask, Tensor):
        assert not isinstance(x, Tensor) and set(mask) <= set(x), "the mask names parts that x does not have"
        parts = [mask[name] if name in mask else torch.ones_like(part) for name, part in x.items()]
        mask = torch.cat([part.bool().reshape(len(part), -1) for part in parts], dim=1)
    sites, masked = tuple(values.shape[2:]), tuple(mask.shape[1:])
    if not sites or len(masked) != len(sites) or any(m not in (1, s) for m, s in zip(masked, sites, strict=True)):
        raise DataError(
            f"a mask needs a likelihood with a site for every value: the mask has the sites {masked}, the likelihood {sites}.\n"
            "  fix: use a factorized likelihood (bernoulli, gaussian, logistic, categorical)"
        )
    return mask.bool()
