"""What makes a row abnormal: the numbers whose repair would make it usual again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vaekit.core import Batch, Trace, sum_sites
from vaekit.errors import DataError
from vaekit.metrics.pointwise import centre, centred, reconstruction
from vaekit.metrics.prepare import Split, chunks, cut
from vaekit.model import VAE

PASSES = 4  # from the first guess of a region to what is expected of it
REGIONS = 1024  # of an image, at most: more look no sharper


@dataclass(frozen=True)
class Reasons:
    """The k columns of each row that cost it most, the dearest first, (n, k) each. Rows without reasons have column −1, NaN."""

    column: Tensor  # which number of the row
    nats: Tensor  # by how much the ELBO would rise with the expected value in its place
    value: Tensor  # in the data's own units; NaN where it was not observed
    expected: Tensor  # given the other columns, in the data's own units

    @classmethod
    def none(cls, n: int, k: int) -> Reasons:
        """Of rows that have none."""
        empty = torch.full((n, k), torch.nan)
        return cls(torch.full((n, k), -1), empty, empty.clone(), empty.clone())

    def put(self, rows: Tensor, found: Reasons) -> Reasons:
        """The same with the reasons of some rows, given by their positions (m,)."""
        names = ("column", "nats", "value", "expected")
        pairs = [(getattr(self, name), getattr(found, name)) for name in names]
        return Reasons(*(mine.index_copy(0, rows, theirs.to(mine.dtype)) for mine, theirs in pairs))


@dataclass(frozen=True)
class Repairs:
    """What every number of some rows costs, in input order."""

    x: Tensor  # in the data's own units, NaN where it was not observed       (n, *shape)
    expected: Tensor  # for a row of numbers: of each given the others; for an image: of the whole, its reconstruction
    nats: Tensor  # what the ELBO gains by the repair: (n, D) columns, or (n, H, W) pixels with those around them
    numbers: Tensor  # row numbers, (n,)

    def dearest(self, k: int) -> Reasons:
        """The k columns with the highest gains of each row, as far as there are columns with a gain."""
        gains, column = self.nats.topk(min(k, self.nats.shape[1]), dim=1)
        value, expected, none = self.x.gather(1, column), self.expected.gather(1, column), gains <= 0
        numbers = [values.masked_fill(none, torch.nan) for values in (gains, value, expected)]
        return Reasons(column.masked_fill(none, -1), *numbers)


def repairs(models: Sequence[VAE], rows: Split, order: Tensor, seed: int = 0) -> Repairs:
    """What the rows `order` (n,) of a split would gain by the repair of each column or region, averaged over models.

        nats_i = ELBO(x with x_i := E[x_i | x_−i]) − ELBO(x)

    The expected values of a region are those of p(x | z), z inferred with a guess in the region's place: a wrong value does not
    speak for itself. What is expected is the next guess, a few times, as Rezende, Mohamed, Wierstra (2014) impute, with
    centres where they draw. Then it is put in its place, and the row is coded anew. To compare values with the
    reconstruction of the whole row is not the same: a wrong one moves the code, and right ones look wrong. The regions of a row
    of numbers are its columns; those of an image are squares around its pixels, about a tenth of its side.

    Raises `DataError` for data that is neither, or if no row can be read.
    """
    found = []
    for model in models:
        parts = list[tuple[Tensor, ...]]()
        with torch.no_grad():
            for chunk in chunks(model, rows, seed, order):
                for part in chunk.parts(max(1, chunk.fits // regions_of(part_shape(chunk.raw)))):
                    assert isinstance(part.raw.x, Tensor), "named parts have no regions"
                    parts.append((part.raw.x, *of_batch(model, part.batch, part.fits), torch.tensor(part.numbers)))
        if not parts:
            raise DataError(f"none of the {len(order)} rows could be read.\n  fix: check the files")
        found.append([torch.cat(values).cpu() for values in zip(*parts, strict=True)])
    x, expected, nats, numbers = zip(*found, strict=True)
    return Repairs(x[0], torch.stack(expected).mean(0), torch.stack(nats).mean(0), numbers[0])


def part_shape(raw: Batch) -> tuple[int, ...]:
    """The shape of one row."""
    assert isinstance(raw.x, Tensor), "named parts have no regions"
    return tuple(raw.x.shape[1:])


def regions_of(shape: tuple[int, ...]) -> int:
    """About how many regions a row has: as many copies of it pass through the model."""
    return min(torch.Size(shape).numel(), REGIONS) if len(shape) > 1 else shape[0]


def of_batch(model: VAE, batch: Batch, fits: int) -> tuple[Tensor, Tensor]:
    """Expected values in the data's own units (B, *shape), and gains in nats (B, D) or (B, H, W), of prepared rows."""
    x = batch.x
    assert isinstance(x, Tensor), "named parts have no regions"
    trace = centred(model, batch)
    before = elbo(trace)[:, None]
    if x.ndim == 2:
        columns = torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
        gains, expected = gains_of(model, batch, columns, torch.zeros_like(x), fits)
        own = expected.diagonal(dim1=1, dim2=2)
        observed = batch.mask.bool() if isinstance(batch.mask, Tensor) else torch.ones_like(x, dtype=torch.bool)
        return model.likelihood.restore(own), torch.where(observed, gains - before, 0.0)  # a gap is no reason
    if x.ndim != 4:
        raise DataError(f"expected rows of numbers or images, got data of shape {tuple(x.shape[1:])}")
    squares, height, width = squares_of(x)
    gains, _ = gains_of(model, batch, squares, centre(trace.likelihood), fits, keep=False)
    coarse = (gains - before).reshape(len(x), 1, height, width)
    nats = torch.nn.functional.interpolate(coarse, size=tuple(x.shape[2:]), mode="nearest-exact")
    return reconstruction(model, trace), nats[:, 0]


def gains_of(
    model: VAE, batch: Batch, regions: Tensor, guess: Tensor, fits: int, keep: bool = True
) -> tuple[Tensor, Tensor]:
    """The ELBO with each of the R regions repaired (B, R), and what was expected of the whole rows (B, R, *shape)."""
    gains, expected = list[Tensor](), list[Tensor]()
    for some in torch.split(regions, max(1, fits // len(batch))):
        repaired, found = repair(model, batch, some, guess)
        gains.append(elbo(centred(model, repaired)).reshape(len(batch), len(some)))
        if keep:
            expected.append(found.reshape(len(batch), len(some), *found.shape[1:]))
    return torch.cat(gains, 1), torch.cat(expected, 1) if keep else guess


def repair(model: VAE, batch: Batch, regions: Tensor, guess: Tensor) -> tuple[Batch, Tensor]:
    """Every row with each of the R regions (R, *shape) as expected, (B·R, ...); and what was expected of the whole.

    The encoder sees a guess in the place of the region: first `guess` (B, *shape), then what came of that.
    """
    count = len(regions)
    many = cut(batch, torch.arange(len(batch), device=regions.device).repeat_interleave(count))
    hidden = regions.repeat(len(batch), *[1] * (regions.ndim - 1))
    assert isinstance(many.x, Tensor)
    expected = guess.repeat_interleave(count, 0)
    for _ in range(PASSES):
        guessed = torch.where(hidden, expected.to(many.x.dtype), many.x)
        expected = centre(centred(model, replace(many, x=guessed)).likelihood)
    return replace(many, x=torch.where(hidden, expected.to(many.x.dtype), many.x)), expected


def squares_of(x: Tensor) -> tuple[Tensor, int, int]:
    """Squares of an image (B, C, H, W), centred on a grid: which pixels each has (R, C, H, W), and the grid's sides."""
    height, width = x.shape[2:]
    stride = 1
    while -(-height // stride) * -(-width // stride) > REGIONS:
        stride += 1
    half = max(3, round(min(height, width) / 10), stride) / 2
    i = (torch.arange(-(-height // stride), device=x.device) + 0.5) * height / -(-height // stride)
    j = (torch.arange(-(-width // stride), device=x.device) + 0.5) * width / -(-width // stride)
    rows = (torch.arange(height, device=x.device) + 0.5 - i[:, None]).abs() < half  # (h, H)
    columns = (torch.arange(width, device=x.device) + 0.5 - j[:, None]).abs() < half  # (w, W)
    squares = rows[:, None, :, None] & columns[None, :, None, :]  # (h, w, H, W)
    return squares.flatten(0, 1).unsqueeze(1).expand(-1, x.shape[1], -1, -1), len(i), len(j)


def elbo(trace: Trace) -> Tensor:
    """The bound of a pass at the centre of the posterior, (B,)."""
    costs = torch.stack([sum_sites(value) for value in trace.kl().values()]).sum(0)
    found: Tensor = (sum_sites(trace.log_likelihood()) - costs)[0]
    return found


__all__ = ["Reasons", "Repairs", "repairs"]
