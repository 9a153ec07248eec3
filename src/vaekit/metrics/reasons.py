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

AT_ONCE = 2**22  # numbers that pass through a model together
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
        """The k columns with the highest gains of each row."""
        gains, column = self.nats.topk(min(k, self.nats.shape[1]), dim=1)
        return Reasons(column, gains, self.x.gather(1, column), self.expected.gather(1, column))


def repairs(models: Sequence[VAE], rows: Split, order: Tensor, seed: int = 0) -> Repairs:
    """What the rows `order` (n,) of a split would gain by the repair of each column or region, averaged over models.

        nats_i = ELBO(x with x_i := E[x_i | x_−i]) − ELBO(x)

    The expected values of a region are those of p(x | z), z inferred with the region hidden: a wrong value does not speak for
    itself. Then they are put in its place, and the row is coded anew. To compare values with the reconstruction of the whole
    row is not the same: a wrong one moves the code, and right ones look wrong. The regions of a row of numbers are its
    columns; those of an image are squares around its pixels, about a tenth of its side.

    Raises `DataError` for data that is neither, or if no row can be read.
    """
    found = []
    for model in models:
        parts = list[tuple[Tensor, ...]]()
        with torch.no_grad():
            for chunk in chunks(model, rows, seed, order):
                for part in chunk.parts(rows_for(model)):
                    assert isinstance(part.raw.x, Tensor), "named parts have no regions"
                    parts.append((part.raw.x, *of_batch(model, part.batch), torch.tensor(part.numbers)))
        if not parts:
            raise DataError(f"none of the {len(order)} rows could be read.\n  fix: check the files")
        found.append([torch.cat(values).cpu() for values in zip(*parts, strict=True)])
    x, expected, nats, numbers = zip(*found, strict=True)
    return Repairs(x[0], torch.stack(expected).mean(0), torch.stack(nats).mean(0), numbers[0])


def rows_for(model: VAE) -> int:
    """How many rows are repaired together: each becomes as many copies as it has regions."""
    size = torch.Size(model.likelihood.spec.shape).numel()  # type: ignore[arg-type]
    return max(1, AT_ONCE // (size * min(size, REGIONS)))


def of_batch(model: VAE, batch: Batch) -> tuple[Tensor, Tensor]:
    """Expected values in the data's own units (B, *shape), and gains in nats (B, D) or (B, H, W), of prepared rows."""
    x = batch.x
    assert isinstance(x, Tensor), "named parts have no regions"
    trace = centred(model, batch)
    before = elbo(trace)
    if x.ndim == 2:
        columns = torch.eye(x.shape[1], dtype=torch.bool, device=x.device)
        repaired, expected = repair(model, batch, columns, torch.zeros_like(x))
        gains = (elbo(centred(model, repaired)).reshape(len(x), -1)) - before[:, None]
        observed = batch.mask.bool() if isinstance(batch.mask, Tensor) else torch.ones_like(x, dtype=torch.bool)
        own = expected.reshape(len(x), x.shape[1], -1).diagonal(dim1=1, dim2=2)
        return model.likelihood.restore(own), torch.where(observed, gains, 0.0)
    if x.ndim != 4:
        raise DataError(f"expected rows of numbers or images, got data of shape {tuple(x.shape[1:])}")
    squares, height, width = squares_of(x)
    repaired, _ = repair(model, batch, squares, centre(trace.likelihood))
    gains = elbo(centred(model, repaired)).reshape(len(x), 1, height, width) - before[:, None, None, None]
    nats = torch.nn.functional.interpolate(gains, size=tuple(x.shape[2:]), mode="nearest-exact")
    return reconstruction(model, trace), nats[:, 0]


def repair(model: VAE, batch: Batch, regions: Tensor, guess: Tensor) -> tuple[Batch, Tensor]:
    """Every row with each of the R regions (R, *shape) as expected, (B·R, ...); and what was expected of the whole.

    The encoder sees a guess (B, *shape) in the place of the hidden region.
    """
    count = len(regions)
    many = cut(batch, torch.arange(len(batch), device=regions.device).repeat_interleave(count))
    hidden = regions.repeat(len(batch), *[1] * (regions.ndim - 1))
    assert isinstance(many.x, Tensor)
    guessed = torch.where(hidden, guess.repeat_interleave(count, 0).to(many.x.dtype), many.x)
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
