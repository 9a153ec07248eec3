"""What single dimensions of the latent space do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.core import Given, Latent
from vaekit.data.dataset import rows_of
from vaekit.errors import ConfigError
from vaekit.metrics import measure
from vaekit.metrics.pointwise import centre
from vaekit.model import Group
from vaekit.run import Run, SplitName
from vaekit.tasks.conditions import Asked, single
from vaekit.tasks.decoding import above_zero, flat, pieces, restored, unflat, width
from vaekit.tasks.embed import embed
from vaekit.tasks.records import plain
from vaekit.tasks.rows import Progress, chosen, device_for

MOST = 10  # dimensions, where none are asked for
RANKED_ON = 500  # examples, by which dimensions are ranked


@dataclass(frozen=True)
class Traversal:
    """One row of images for each dimension, in the data's own units; all other dimensions stay where they are."""

    images: Tensor  # (dimensions, steps, *shape)
    latents: Tensor  # (dimensions, steps, d)
    dimensions: tuple[int, ...]  # numbers in the flattened latent
    values: Tensor  # standard deviations of the prior from its centre    (steps,)
    kl: tuple[float, ...] | None  # of those dimensions in nats, where they were ranked by it
    base: str  # what stays: "prior", or the id of an example

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values: dict[str, Any] = plain(self)
        return values


def traverse(
    run: Run,
    dimensions: Sequence[int] | None = None,
    span: float = 3.0,
    steps: int = 9,
    base: int | None = None,
    *,
    data: Any = None,
    split: SplitName = "test",
    condition: Asked | None = None,
    progress: Progress | None = None,
) -> Traversal:
    """Move one dimension at a time from −`span` to +`span` standard deviations of its prior.

    Args:
        run: the trained model.
        dimensions: numbers in the flattened latent; None: at most ten, those with the highest KL first.
        span: how far from the prior's centre, in its standard deviations.
        steps: images of a row.
        base: where the other dimensions stay: None, the prior's centre; or the posterior's centre of that row.
        data: for `base` and the ranking, instead of the run's own: a path, an array, a tensor, PIL images, or rows.
        split: of the run's own data.
        condition: one value of some entries of the context, `label=7`; the others are those of `base`, or none.
        progress: called with the number of points decoded, and of all.

    Raises:
        ConfigError: dimensions or a row out of range, `span` not above 0, `steps` below 2.
        DataError: the data is needed and cannot be opened.
    """
    above_zero("span", span)
    if not isinstance(steps, int) or steps < 2:
        raise ConfigError(f"steps: expected a whole number above 1, got {steps!r}")
    kl, use = (None, None) if dimensions is not None else activity(run, data, split)
    numbers = ranked(use) if use is not None else checked(dimensions or (), width(run))
    point = None if base is None else embed(run, data, split, indices=[base])
    values = torch.linspace(-span, span, steps)
    asked = single(run, condition)
    context = {
        **({} if base is None else context_of(run, data, split, base)),
        **({} if asked is None else asked.context),
    }
    sweep = Sweep(run, torch.tensor(numbers).repeat_interleave(steps), values.repeat(len(numbers)), context)
    images, latents = sweep(None if point is None else point.mean, progress)
    return Traversal(
        images=images.reshape(len(numbers), steps, *images.shape[1:]),
        latents=latents.reshape(len(numbers), steps, -1),
        dimensions=tuple(numbers),
        values=values,
        kl=None if kl is None else tuple(kl[numbers].tolist()),
        base="prior" if point is None else point.ids[0],
    )


@dataclass(frozen=True)
class Sweep:
    """Rows that differ from a base point in one dimension each."""

    run: Run
    which: Tensor  # dimension moved in each row                     (n,)
    values: Tensor  # to how many standard deviations of the prior    (n,)
    context: Mapping[str, Tensor]  # of all rows                            (1, ...) each

    def __call__(self, base: Tensor | None, progress: Progress | None) -> tuple[Tensor, Tensor]:
        """Images (n, *shape) and latents (n, d); `base` (1, d), None: the prior's centre."""
        device, model = device_for(self.run), self.run.model
        images, latents = [], []
        with torch.no_grad():
            for piece in pieces(self.run, len(self.which), progress):
                rows = piece.stop - piece.start
                choose = self.chooser(piece, None if base is None else base.to(device))
                given, found = model.unroll(Given(rows, context=model.embed(self.given(rows, device), rows)), choose)
                images.append(restored(model, model.likelihood(given.without_evidence()), "mean"))
                latents.append(flat({latent.name: latent.z for latent in found}).cpu())
        return torch.cat(images), torch.cat(latents)

    def given(self, rows: int, device: torch.device) -> dict[str, Tensor]:
        """The context of some rows."""
        return {name: value.expand(rows, *value.shape[1:]).to(device) for name, value in self.context.items()}

    def chooser(self, piece: slice, base: Tensor | None) -> Any:
        """The `choose` for some of the rows."""
        offsets, total = {}, 0
        for name, shape in self.run.latent_shapes.items():
            offsets[name], total = total, total + math.prod(shape)
        fixed = None if base is None else unflat(self.run, base)

        def choose(group: Group, p: Distribution, given: Given) -> Latent:
            z = (
                centre(p) if fixed is None else fixed[group.name].expand(given.rows, *fixed[group.name].shape[1:])
            ).clone()
            self.move(z.view(given.rows, -1), p, piece, offsets[group.name])
            return Latent(group.name, z, p)

        return choose

    def move(self, z: Tensor, p: Distribution, piece: slice, offset: int) -> None:
        """Set the moved dimensions that belong to one group, (N, d of the group), in place."""
        column = self.which[piece] - offset
        row = ((column >= 0) & (column < z.shape[1])).nonzero()[:, 0]
        at = (row.to(z.device), column[row].to(z.device))
        centres, spreads = centre(p).reshape(len(z), -1)[at], p.stddev.reshape(len(z), -1)[at]
        z[at] = centres + self.values[piece][row].to(z) * spreads


def context_of(run: Run, data: Any, split: SplitName, row: int) -> dict[str, Tensor]:
    """The context of one row, (1, ...) each."""
    where = chosen(run, data, split, indices=[row])
    return rows_of(where.rows.context, where.order.to(where.device))


def activity(run: Run, data: Any, split: SplitName) -> tuple[Tensor | None, Tensor]:
    """The KL of every latent dimension in nats, over at most 500 examples, and by what they are ranked, (d,) each.

    A family without a KL for each dimension is ranked by how far its centres move.
    """
    where = chosen(run, data, split, n=RANKED_ON)
    found = measure(run.model, where.rows, 1, order=where.order)
    kl = torch.cat([value.flatten() for value in found.kl_per_dimension.values()])
    if len(kl) == width(run):
        return kl, kl
    return None, torch.cat([value.flatten() for value in found.variances.values()])


def ranked(use: Tensor) -> list[int]:
    """The dimensions that are used most, (d,) → at most ten, the most used first."""
    return [int(number) for number in use.argsort(descending=True)[:MOST]]


def checked(dimensions: Sequence[int], total: int) -> list[int]:
    """Dimensions that exist. Raises `ConfigError`."""
    numbers = [int(number) for number in dimensions]
    if not numbers or any(not 0 <= number < total for number in numbers):
        raise ConfigError(f"dimensions: expected numbers from 0 to {total - 1}, got {numbers or 'none'}")
    return numbers
