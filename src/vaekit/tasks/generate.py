"""New examples, drawn from the prior."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution, Normal, OneHotCategorical

from vaekit.core import Given, Latent
from vaekit.engine.runtime import seeded
from vaekit.errors import ConfigError
from vaekit.model import Group
from vaekit.run import Run
from vaekit.tasks.decoding import Pixels, above_zero, check_pixels, flat, pieces, restored
from vaekit.tasks.records import plain
from vaekit.tasks.rows import Progress, device_for, positive


@dataclass(frozen=True)
class Generated:
    """New examples in the data's own units, and the latents they were decoded from."""

    images: Tensor  # (n, *shape)
    latents: Tensor  # groups one after the other, maps flattened (n, d)
    pixels: Pixels  # whether they are centres of p(x | z) or draws from it
    temperature: float
    seed: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values: dict[str, Any] = plain(self)
        return values


def generate(
    run: Run,
    n: int = 64,
    temperature: float = 1.0,
    seed: int = 0,
    pixels: Pixels = "mean",
    *,
    progress: Progress | None = None,
) -> Generated:
    """n draws from the model: z ~ p(z), and then the centre of p(x | z), or a draw from it.

    Args:
        run: the trained model.
        n: how many.
        temperature: the factor on the prior's standard deviation: below 1, more typical and less varied examples. (Of a
            categorical prior, the divisor of its logits.)
        seed: of all draws.
        pixels: `mean`, the centre of p(x | z), which is smooth; or `sample`, a draw from it, which has its noise.
        progress: called with the number of examples done, and of all.

    Raises:
        ConfigError: `n` below 1, a temperature not above 0, unknown `pixels`, a prior that knows no temperature.
    """
    positive("n", n)
    above_zero("temperature", temperature)
    check_pixels(pixels)
    device, model = device_for(run), run.model
    images, latents = [], []

    def draw(group: Group, p: Distribution, given: Given) -> Latent:
        return Latent(group.name, p.sample() if temperature == 1 else tempered(p, temperature).sample(), p)

    with torch.no_grad(), seeded(seed, device):
        for piece in pieces(run, n, progress):
            rows = piece.stop - piece.start
            given, drawn = model.unroll(Given(rows, context=model.embed({}, rows)), draw)
            images.append(restored(model, model.likelihood(given.without_evidence()), pixels))
            latents.append(flat({latent.name: latent.z for latent in drawn}).cpu())
    return Generated(torch.cat(images), torch.cat(latents), pixels, temperature, seed)


@singledispatch
def tempered(p: Distribution, temperature: float) -> Distribution:
    """A prior sharpened (below 1) or flattened (above 1). Raises `ConfigError` for a family that says nothing of it."""
    raise ConfigError(f"temperature: a prior of type {type(p).__name__} has none.\n  fix: temperature 1")


@tempered.register
def _(p: Normal, temperature: float) -> Distribution:
    return Normal(p.loc, p.scale * temperature, validate_args=False)


@tempered.register
def _(p: Categorical, temperature: float) -> Distribution:
    return Categorical(logits=p.logits / temperature, validate_args=False)


@tempered.register
def _(p: OneHotCategorical, temperature: float) -> Distribution:
    return OneHotCategorical(logits=p.logits / temperature, validate_args=False)
