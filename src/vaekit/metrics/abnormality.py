"""How abnormal a row is: scores read off one pass through a model. A high score is abnormal, whichever it is.

    −ELBO, −E_q[log p(x | z)], −log 1/K Σ p(x, z) / q(z | x), KL, ‖x − x̂‖², −log q̄(z), ...

No single one is right for all data: a model may explain an abnormal row well and pay for it in the code (KL, latent density),
or code it as something usual and explain it badly (reconstruction). The ELBO has both.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from vaekit.core import Batch, Trace, sum_sites
from vaekit.errors import ConfigError, DataError, near
from vaekit.metrics.bounds import Scores, score
from vaekit.metrics.complexity import code_lengths
from vaekit.metrics.pointwise import centre, centred
from vaekit.metrics.regret import regret
from vaekit.model import VAE

SAMPLES = 64  # of scores that need draws, where none are asked for
NARROWEST = 0.05  # kernel of the aggregated posterior, in units of the codes' spread: narrower ones only add noise


@dataclass(frozen=True)
class Codes:
    """Posteriors of M training rows, and what their numbers cost. Their mixture is the aggregated posterior 1/M Σ q(z | x_m).

    References:
        Makhzani et al. (2016), Adversarial autoencoders. Norouzi, Fleet, Norouzi (2020), Exemplar VAEs.
    """

    mean: Tensor  # (M, d)
    scale: Tensor  # (M, d)
    costs: Tensor | None = None  # of rows of numbers: the mean of −log p(x_i | z) of each column, (D,)
    errors: Tensor | None = None  # and of its squared error, in prepared units, (D,)

    def log_prob(self, z: Tensor) -> Tensor:
        """log q̄(z), (B, d) → (B,), the kernels at least `NARROWEST` of the codes' spread wide.

        The square is expanded, so that it is a product of matrices, in units of the codes' own place and spread: else it
        would lose all digits in single precision where codes lie far out.
        """
        place, unit = self.mean.mean(0), self.mean.std(0, correction=0).clamp(min=1e-6)  # (d,)
        z, mean = (z - place) / unit, (self.mean - place) / unit
        scale = (self.scale / unit).clamp(min=NARROWEST)
        precision = scale.square().reciprocal()  # (M, d)
        constant = (mean.square() * precision + 2 * scale.log() + math.log(2 * math.pi)).sum(1)  # (M,)
        distance = z.square() @ precision.T - 2 * z @ (mean * precision).T + constant  # (B, M)
        return (-0.5 * distance).logsumexp(1) - math.log(len(scale)) - unit.log().sum()


@dataclass(frozen=True)
class Seen:
    """Rows that went through a model once, at the centre of the posterior; further passes are made when a score asks."""

    model: VAE
    raw: Batch
    batch: Batch  # prepared
    trace: Trace  # z at the centre of q
    codes: Codes | None = None
    samples: int = 0  # draws from q for expectations; 0: its centre stands for them
    fits: int = 2048  # rows that the model can be handed at once

    @cached_property
    def log_likelihood(self) -> Tensor:
        """E_q[log p(x | z)] over `samples` draws, or log p(x | z) at the centre, (B,).

        There a column that was not observed costs what it usually costs: a gap makes a row neither normal nor abnormal.
        """
        if self.samples:
            return self.drawn.log_likelihood
        values = self.trace.log_likelihood()  # (1, B, *sites)
        if (costs := self.usual_of("costs")) is not None:
            values = torch.where(self.observed, values, -costs)
        return sum_sites(values)[0]

    @property
    def observed(self) -> Tensor:
        """Which numbers of rows with gaps are there, (B, D)."""
        assert isinstance(self.batch.mask, Tensor)
        return self.batch.mask.bool()

    def usual_of(self, name: str) -> Tensor | None:
        """What columns usually cost, (D,), where rows of numbers have gaps and it is known."""
        gaps = isinstance(self.batch.mask, Tensor) and isinstance(self.batch.x, Tensor) and self.batch.x.ndim == 2
        found: Tensor | None = getattr(self.codes, name) if gaps and self.codes is not None else None
        return found

    @cached_property
    def kl(self) -> Tensor:
        """KL[q ‖ p], (B,)."""
        if self.samples:
            return self.drawn.total_kl
        return torch.stack([sum_sites(value)[0] for value in self.trace.kl().values()]).sum(0)

    @property
    def elbo(self) -> Tensor:
        """(B,)."""
        return self.log_likelihood - self.kl

    @cached_property
    def drawn(self) -> Scores:
        """The terms of the bound over draws."""
        return score(self.model, self.batch, self.samples or SAMPLES, self.fits)

    @cached_property
    def z(self) -> Tensor:
        """The centres of all groups, side by side, (B, d)."""
        return torch.cat([latent.z.flatten(1) for latent in self.trace.latents], dim=1)

    @cached_property
    def latent_density(self) -> Tensor:
        """−log q̄(z), (B,). Raises `DataError` without codes of training rows."""
        if self.codes is None:
            raise DataError(
                "the score needs codes of training rows, got none.\n  fix: calibrate the run, or another score"
            )
        return -self.codes.log_prob(self.z)

    @cached_property
    def code_length(self) -> Tensor:
        """Bits of a general lossless coder for each image, (B,)."""
        return code_lengths(self.raw, self.model.likelihood.spec.levels)  # type: ignore[union-attr, arg-type]

    @cached_property
    def error(self) -> Tensor:
        """‖x − x̂‖² of prepared rows, where they were observed, (B,)."""
        x = self.batch.x
        assert isinstance(x, Tensor), "named parts have no common error"
        squared = (x - centre(self.trace.likelihood)).square()
        if isinstance(self.batch.mask, Tensor):
            usual = self.usual_of("errors")
            squared = torch.where(self.observed, squared, 0.0 if usual is None else usual)
        return squared.flatten(1).sum(1)


@dataclass(frozen=True)
class Score:
    """One of the scores: what it is in words, its unit, and the values of rows that were seen, (B,)."""

    words: str
    unit: str
    of: Callable[[Seen], Tensor]
    needs_codes: bool = False
    both_ways: bool = False  # low values are as unusual as high ones


SCORES: Mapping[str, Score] = {
    "elbo": Score(
        "minus the ELBO: the row is explained badly, or its code is unusual",
        "nats",
        lambda seen: -seen.elbo,
    ),
    "reconstruction": Score(
        "minus the reconstruction probability E_q[log p(x | z)]: the row is explained badly by its code",
        "nats",
        lambda seen: -seen.log_likelihood,
    ),
    "importance_weighted": Score(
        "minus the importance-weighted bound, which is nearer to log p(x) than the ELBO",
        "nats",
        lambda seen: -seen.drawn.importance_weighted,
    ),
    "kl": Score("KL[q(z | x) ‖ p(z)]: the code is far from the prior", "nats", lambda seen: seen.kl),
    "error": Score("squared error of the reconstruction, in the units the model sees", "", lambda seen: seen.error),
    "latent_density": Score(
        "minus log q̄(z): the code lies where training rows have few codes",
        "nats",
        lambda seen: seen.latent_density,
        needs_codes=True,
    ),
    "exemplar": Score(
        "minus log p(x | z) q̄(z): explained badly, or coded where training rows have few codes",
        "nats",
        lambda seen: seen.latent_density - seen.log_likelihood,
        needs_codes=True,
    ),
    "regret": Score(
        "likelihood regret: how much better the row would be explained by a code of its own than by the encoder's",
        "nats",
        lambda seen: regret(seen.model, seen.batch),
    ),
    "complexity": Score(
        "minus the ELBO, less what a general lossless coder needs for the image: unusual, and not merely intricate",
        "nats",
        lambda seen: -seen.elbo.double().cpu() - math.log(2) * seen.code_length,
    ),
    "code_length": Score(
        "how plain or intricate the image is, by a general lossless coder: unusual both ways",
        "bits",
        lambda seen: seen.code_length,
        both_ways=True,
    ),
}


@dataclass(frozen=True)
class Recipe:
    """Which scores make one, and how: their sum (`exemplar+error`), or the highest of them (`complexity|code_length`)."""

    names: tuple[str, ...]
    highest: bool = False

    def __str__(self) -> str:
        return ("|" if self.highest else "+").join(self.names)

    @property
    def plain(self) -> bool:
        """Whether it is one score as it is, in its own unit."""
        return len(self.names) == 1 and not SCORES[self.names[0]].both_ways

    @property
    def words(self) -> str:
        """What it says."""
        each = [SCORES[name].words for name in self.names]
        if len(each) == 1:
            return each[0]
        how = "the highest" if self.highest else "the sum"
        listed = "; ".join(f"{name}, {words}" for name, words in zip(self.names, each, strict=True))
        return f"{how} of scores standardized by training rows: {listed}"

    @property
    def unit(self) -> str:
        """Of one score; several have none."""
        return SCORES[self.names[0]].unit if self.plain else ""


def parse(text: str) -> Recipe:
    """The scores that a text asks for: one, or several joined by `+` or by `|`. Raises `ConfigError` for an unknown one.

    >>> parse("elbo+error").names, parse("complexity|code-length").highest
    (('elbo', 'error'), True)
    """
    mark = "|" if "|" in text else "+"
    names = tuple(part.strip().replace("-", "_") for part in text.split(mark))
    for name in names:
        if name not in SCORES:
            raise ConfigError(
                f"score: unknown name '{name}'{near(name, SCORES)}; there are {', '.join(SCORES)}, "
                "sums such as exemplar+error, and the highest of some: complexity|code_length"
            )
    if len(set(names)) < len(names):
        raise ConfigError(f"score: expected each name once, got '{text}'")
    return Recipe(names, mark == "|")


def see(model: VAE, raw: Batch, batch: Batch, codes: Codes | None = None, samples: int = 0, fits: int = 2048) -> Seen:
    """One pass over prepared rows at the centre of the posterior."""
    return Seen(model, raw, batch, centred(model, batch), codes, samples, fits)


def values(seen: Seen, names: Sequence[str]) -> Tensor:
    """Some scores of rows that were seen, (B, names), in double precision on the CPU."""
    found = torch.stack([SCORES[name].of(seen).double().cpu() for name in names], dim=1)
    return torch.where(found.isnan(), math.inf, found)  # of finite rows: beyond all numbers


# --- several scores as one -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Usual:
    """The usual values of some scores: their medians, and how far from them the upper and the lower tenth begin, (names,)."""

    median: Tensor
    above: Tensor
    below: Tensor

    @classmethod
    def of(cls, found: Tensor) -> Usual:
        """Of normal rows, (n, names)."""
        low, median, high = found.quantile(torch.tensor([0.1, 0.5, 0.9], dtype=found.dtype), dim=0)
        above, below = (torch.where(gap > 0, gap, 1.0) for gap in (high - median, median - low))
        return cls(median, above, below)

    def standardized(self, found: Tensor, names: Sequence[str]) -> Tensor:
        """asinh((score − median) / gap): on one scale, linear for usual rows, logarithmic far out, (n, names)."""
        both = torch.tensor([SCORES[name].both_ways for name in names])
        high = (found - self.median) / self.above
        return torch.asinh(torch.where(both & (found < self.median), (self.median - found) / self.below, high))


def together(found: Tensor, usual: Usual, recipe: Recipe) -> Tensor:
    """One score of several, (n, names) → (n,): a plain one itself, else the sum or the highest of the standardized ones."""
    if recipe.plain:
        return found[:, 0]
    standardized = usual.standardized(found, recipe.names)
    return standardized.amax(1) if recipe.highest else standardized.sum(1)


__all__ = ["SCORES", "Codes", "Recipe", "Score", "Seen", "Usual", "parse", "see", "together", "values"]
