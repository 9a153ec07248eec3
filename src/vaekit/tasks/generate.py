"""New examples, drawn from the prior."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field
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
from vaekit.tasks.conditions import Asked, Conditions, conditions, drawn_classes
from vaekit.tasks.decoding import Pixels, above_zero, check_pixels, flat, pieces, restored
from vaekit.tasks.records import plain
from vaekit.tasks.rows import Progress, device_for, positive


@dataclass(frozen=True)
class Generated:
    """New examples in the data's own units, and the latents they were decoded from: n under each condition in turn."""

    images: Tensor  # (N, *shape)
    latents: Tensor  # groups one after the other, maps flattened (N, d)
    pixels: Pixels  # whether they are centres of p(x | z) or draws from it
    temperature: float
    seed: int
    conditions: tuple[str, ...] = ()  # what was asked for, `label=7`; empty: nothing
    context: Mapping[str, Tensor] = field(default_factory=dict)  # of every example: (N,) or (N, size)

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
    condition: Asked | None = None,
    same: bool = True,
    progress: Progress | None = None,
) -> Generated:
    """n draws from the model: z ~ p(z), and then the centre of p(x | z), or a draw from it.

    Of a run with a context, where nothing is asked for, the label (or the first category) is drawn too, c ~ p(c), in the
    shares of its classes in training. All other entries that are not asked for are hidden, as they are at times in training.

    Args:
        run: the trained model.
        n: how many, under each condition.
        temperature: the factor on the prior's standard deviation: below 1, more typical and less varied examples. (Of a
            categorical prior, the divisor of its logits.)
        seed: of all draws.
        pixels: `mean`, the centre of p(x | z), which is smooth; or `sample`, a draw from it, which has its noise.
        condition: values of the context, `{"label": [7, 3]}` or `["label=7", "label=3"]`, in every combination (see
            `vaekit.tasks.conditions`); None: nothing is asked for.
        same: the same noise under every condition, so that conditions are all that differs; else fresh noise.
        progress: called with the number of examples done, and of all.

    Raises:
        ConfigError: `n` below 1, a temperature not above 0, unknown `pixels`, a prior that knows no temperature, a condition
            that the run does not know.
    """
    positive("n", n)
    above_zero("temperature", temperature)
    check_pixels(pixels)
    asked = conditions(run, condition) if condition else Conditions(("",), {})
    device = device_for(run)
    draw, others = Draw(run, pixels, temperature), {} if condition else drawn_classes(run, n, seed)
    parts: list[tuple[Tensor, Tensor]] = []
    with torch.no_grad(), seeded(seed, device):
        for number in range(len(asked)):
            context = {name: value.to(device) for name, value in {**others, **asked.at(number, n)}.items()}
            with seeded(seed, device) if same else contextlib.nullcontext():
                parts += [draw(piece, context) for piece in pieces(run, n, counted(progress, number, len(asked)))]
    images, latents = (torch.cat(values) for values in zip(*parts, strict=True))
    everyone = {name: values.repeat(len(asked)) for name, values in others.items()}
    everyone |= {name: values.repeat_interleave(n, 0) for name, values in asked.context.items()}
    return Generated(images, latents, pixels, temperature, seed, asked.names if condition else (), everyone)


@dataclass(frozen=True)
class Draw:
    """Some new examples under a context."""

    run: Run
    pixels: Pixels
    temperature: float

    def __call__(self, piece: slice, context: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Examples (n, *shape) and latents (n, d), with torch's noise as it stands."""
        rows, model = piece.stop - piece.start, self.run.model
        some = {name: values[piece] for name, values in context.items()}
        given, drawn = model.unroll(Given(rows, context=model.embed(some, rows)), self.choose)
        x = restored(model, model.likelihood(given.without_evidence()), self.pixels)
        return x, flat({latent.name: latent.z for latent in drawn}).cpu()

    def choose(self, group: Group, p: Distribution, given: Given) -> Latent:
        """A draw from the prior at the temperature."""
        return Latent(group.name, (p if self.temperature == 1 else tempered(p, self.temperature)).sample(), p)


def counted(progress: Progress | None, number: int, total: int) -> Progress | None:
    """Progress over all of `total` rounds, in round `number`."""
    return None if progress is None else lambda done, of: progress(number * of + done, total * of)


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
