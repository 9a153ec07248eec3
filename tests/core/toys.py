"""Toy members: the smallest conditionals that exercise the core, with torch's own distributions where it has them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Size, Tensor, nn
from torch.distributions import (
    Categorical,
    Distribution,
    MixtureSameFamily,
    MultivariateNormal,
    Normal,
    OneHotCategorical,
    register_kl,
)

from vaekit.core import Batch, Conditional, Given, Likelihood, Posterior, Proposal
from vaekit.model import VAE, Encoder, Group


class Affine(nn.Module):
    """b + A · (what is given, side by side); with `hidden` units, b + A · tanh(b' + A' · ...)."""

    def __init__(self, size: int, given: int = 0, hidden: int = 0) -> None:
        super().__init__()
        self.inner = Affine(hidden, given) if hidden else None
        self.weight = nn.Parameter(0.8 * torch.randn(size, hidden or given) / math.sqrt(max(1, hidden or given)))
        self.bias = nn.Parameter(0.5 * torch.randn(size))

    def forward(self, rows: int, *parts: Tensor | None) -> Tensor:
        """(N, ...) each, None where there is nothing → (N, size)."""
        given = [part.flatten(1) for part in parts if part is not None]
        if self.inner is not None:
            return F.linear(self.inner(rows, *given).tanh(), self.weight, self.bias)
        return F.linear(torch.cat(given, 1), self.weight, self.bias) if given else self.bias.expand(rows, -1)


class NormalPrior(Conditional):
    """p(z_l | z_<l, c) = N(affine(state, context), σ²)."""

    def __init__(self, size: int, given: int = 0, hidden: int = 0) -> None:
        super().__init__()
        self.mean = Affine(size, given, hidden)
        self.log_scale = nn.Parameter(0.3 * torch.randn(size))

    def forward(self, given: Given) -> Normal:
        loc = self.mean(given.rows, given.state, given.context)
        return Normal(loc, self.log_scale.exp(), validate_args=False)


class NormalPosterior(Posterior):
    """q(z_l | z_<l, x, c) = N(affine(state, evidence, context), σ²)."""

    def __init__(self, size: int, given: int, hidden: int = 0) -> None:
        super().__init__()
        self.mean = Affine(size, given, hidden)
        self.log_scale = nn.Parameter(0.3 * torch.randn(size) - 0.5)

    def forward(self, given: Given) -> Proposal:
        loc = self.mean(given.rows, given.state, given.evidence, given.context)
        return Proposal(Normal(loc, self.log_scale.exp(), validate_args=False))


class NormalLikelihood(Likelihood):
    """p(x | z, c) = N(affine(state, context), σ²) of any shape, standardized by `shift` and `scale`."""

    def __init__(self, shape: tuple[int, ...], given: int, hidden: int = 0, scale: float = 1.0) -> None:
        super().__init__()
        self.shape = shape
        self.scale = scale
        self.mean = Affine(math.prod(shape), given, hidden)
        self.log_scale = nn.Parameter(0.2 * torch.randn(shape) - 0.3)

    def forward(self, given: Given) -> Distribution:
        loc = self.mean(given.rows, given.state, given.context).reshape(-1, *self.shape)
        return Normal(loc, self.log_scale.exp(), validate_args=False)

    def prepare(self, batch: Batch, generator: Generator | None = None) -> Batch:
        x = batch.x
        assert isinstance(x, Tensor)
        if isinstance(batch.mask, Tensor):
            x = torch.where(batch.mask.bool(), x, 0.0)
        return replace(batch, x=x / self.scale, log_det=-math.log(self.scale))

    def restore(self, x: Tensor) -> Tensor:
        return x * self.scale


class SitelessLikelihood(NormalLikelihood):
    """The same density over a whole example at once: it declares that it has no sites."""

    def forward(self, given: Given) -> MultivariateNormal:
        normal = super().forward(given)
        return MultivariateNormal(normal.mean, scale_tril=torch.diag_embed(normal.stddev), validate_args=False)


class LabelPrior(Conditional):
    """p(y | z_<l), one-hot."""

    def __init__(self, classes: int, given: int = 0) -> None:
        super().__init__()
        self.logits = Affine(classes, given)

    def forward(self, given: Given) -> OneHotCategorical:
        return OneHotCategorical(logits=self.logits(given.rows, given.state), validate_args=False)


class LabelPosterior(Posterior):
    """q(y | z_<l, x), enumerated; all its mass on the label where `observed[name]` is one (−1: unknown)."""

    def __init__(self, name: str, classes: int, given: int) -> None:
        super().__init__()
        self.name = name
        self.support = classes
        self.logits = Affine(classes, given)

    def forward(self, given: Given) -> Proposal:
        logits = self.logits(given.rows, given.state, given.evidence)
        label = given.observed.get(self.name)
        if label is not None:
            is_label = F.one_hot(label.clamp(min=0), self.support).bool()
            logits = torch.where((label >= 0)[:, None], torch.where(is_label, 0.0, -math.inf), logits)
        q = OneHotCategorical(logits=logits, validate_args=False)
        return Proposal(q, enumerate=torch.eye(self.support, dtype=logits.dtype))


class Quantized(Distribution):
    """All mass on the code nearest to each of T encoded vectors; a draw is straight-through."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012
    has_rsample = True

    def __init__(self, encoded: Tensor, codebook: Tensor) -> None:
        self.encoded = encoded  # (N, T, d)
        self.code = torch.cdist(encoded, codebook).argmin(-1)  # (N, T)
        self.embedded = codebook[self.code]  # (N, T, d)
        super().__init__(encoded.shape[:-1], encoded.shape[-1:], validate_args=False)

    def rsample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        return self.encoded + (self.embedded - self.encoded).detach()

    def log_prob(self, value: Tensor) -> Tensor:
        return torch.zeros_like(value[..., 0])


class Codes(Distribution):
    """Independent categorical codes, drawn as vectors of the codebook."""

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012

    def __init__(self, logits: Tensor, codebook: Tensor) -> None:
        self.categorical = Categorical(logits=logits, validate_args=False)  # (N, T) sites, M codes
        self.codebook = codebook  # (M, d)
        super().__init__(logits.shape[:-1], codebook.shape[-1:], validate_args=False)

    def sample(self, sample_shape: Any = Size()) -> Tensor:  # noqa: B008
        return self.codebook[self.categorical.sample(sample_shape)]

    def log_prob(self, value: Tensor) -> Tensor:
        return self.categorical.log_prob(torch.cdist(value, self.codebook).argmin(-1))


@register_kl(Quantized, Codes)
def _kl_quantized_codes(q: Quantized, p: Codes) -> Tensor:
    return -p.categorical.log_prob(q.code)


class VectorQuantizer(Posterior):
    """A VQ-VAE's bottleneck: T vectors of d numbers, each replaced by the nearest of M codes."""

    def __init__(self, positions: int, codes: int, width: int, given: int, commitment: float = 0.25) -> None:
        super().__init__()
        self.shape = (positions, width)
        self.commitment = commitment
        self.encode = Affine(positions * width, given)
        self.codebook = nn.Parameter(torch.randn(codes, width))

    def forward(self, given: Given) -> Proposal:
        encoded = self.encode(given.rows, given.evidence).reshape(-1, *self.shape)
        q = Quantized(encoded, self.codebook)
        penalties = {
            "codebook": (encoded.detach() - q.embedded).square().flatten(1).sum(1),
            "commitment": self.commitment * (encoded - q.embedded.detach()).square().flatten(1).sum(1),
        }
        return Proposal(q, penalties=penalties, code=q.code)


class CodePrior(Conditional):
    """Categorical codes at every position; the codebook is the posterior's, borrowed."""

    def __init__(self, posterior: VectorQuantizer) -> None:
        super().__init__()
        self.borrowed = (posterior,)  # in a tuple: not registered a second time
        self.logits = nn.Parameter(torch.randn(posterior.shape[0], posterior.codebook.shape[0]))

    def forward(self, given: Given) -> Codes:
        return Codes(self.logits.expand(given.rows, *self.logits.shape), self.borrowed[0].codebook)


class VampPrior(Conditional):
    """The mixture of the posteriors at M learned pseudo-inputs; encoder and posterior are borrowed."""

    def __init__(self, encoder: nn.Module, posterior: Posterior, components: int, size: int) -> None:
        super().__init__()
        self.encoder = (encoder,)  # in a tuple: not registered a second time, and a deep copy finds the copy
        self.posterior = (posterior,)
        self.inputs = nn.Parameter(torch.randn(components, size))

    def forward(self, given: Given) -> MixtureSameFamily:
        evidence = self.encoder[0](Batch(self.inputs))
        q = self.posterior[0](Given(rows=len(self.inputs), evidence=evidence)).q
        parts = Normal(q.mean.T, q.stddev.T, validate_args=False)  # (latent, M): a mixture at every site
        weights = Categorical(logits=torch.zeros_like(q.mean.T), validate_args=False)
        return MixtureSameFamily(weights, parts, validate_args=False).expand((given.rows, q.mean.shape[1]))


class ContextEmbedding(nn.Module):
    """`site` (a class, −1 unknown) and `age` (a number, NaN unknown): every entry has a learned unknown embedding."""

    def __init__(self, sites: int, width: int) -> None:
        super().__init__()
        self.site = nn.Parameter(torch.randn(sites + 1, width))  # the last: unknown
        self.age = nn.Parameter(torch.randn(2, width))  # slope; unknown

    def forward(self, context: Mapping[str, Tensor], rows: int) -> Tensor:
        site = context.get("site", torch.full((rows,), -1))  # an index of −1 is the last one
        age = context.get("age", torch.full((rows,), math.nan))[:, None]
        known = torch.where(age.isnan(), 0.0, age) * self.age[0]
        return torch.cat([self.site[site], torch.where(age.isnan(), self.age[1], known)], dim=1)


def gradients(model: nn.Module) -> dict[str, Tensor]:
    """Parameter name → gradient, of all parameters that have numbers in them: every one must have got a gradient."""
    found = {name: value.grad for name, value in model.named_parameters() if value.numel()}
    missing = [name for name, value in found.items() if value is None]
    assert not missing, f"no gradient: {missing}"
    return {name: value for name, value in found.items() if value is not None}


def vae(sizes: tuple[int, ...], data: int, hidden: int = 0, encoder: nn.Module | None = None) -> VAE:
    """Normal latent groups `z1`, `z2`, ..., each given all before it, and a normal likelihood of `data` numbers."""
    groups = []
    for index, size in enumerate(sizes):
        before = sum(sizes[:index])
        posterior = NormalPosterior(size, before + data, hidden)
        groups.append(Group(f"z{index + 1}", NormalPrior(size, before, hidden), posterior))
    return VAE(encoder or Encoder(nn.Identity()), groups, NormalLikelihood((data,), sum(sizes), hidden))
