"""Which columns make a row abnormal: those whose repair would make it usual again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vaekit.core import Batch, sum_sites
from vaekit.metrics.pointwise import centred, reconstruction
from vaekit.metrics.prepare import Split, cut
from vaekit.model import VAE

AT_ONCE = 8192  # rows that pass through a model together
Progress = Callable[[int, int], None]


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
        return Reasons(*(getattr(self, name).index_copy(0, rows, getattr(found, name)) for name in names))


def reasons(models: Sequence[VAE], rows: Split, order: Tensor, k: int, progress: Progress | None = None) -> Reasons:
    """The reasons of the rows `order` (n,) of a split of numbers (n, D), averaged over models.

        nats_i = ELBO(x with x_i := E[x_i | x_−i]) − ELBO(x)

    The expected value of a column is that of p(x | z) with z inferred from the others alone: the column itself is masked, so a
    wrong value does not speak for itself. Then the column is repaired, and the row is coded anew. To compare a value with the
    reconstruction of the whole row is not the same: a wrong value moves the code, and other columns look wrong too.
    """
    parts, done = [], 0
    width = next(iter(rows.batches(order[:1], 1))).x.shape[1]  # type: ignore[union-attr]
    with torch.no_grad():
        for raw in rows.batches(order, max(1, AT_ONCE // width)):
            found = [repairs(model, raw) for model in models]
            nats, expected = (torch.stack(values).mean(0) for values in zip(*found, strict=True))
            assert isinstance(raw.x, Tensor), "rows of numbers are one tensor"
            parts.append(dearest(raw.x, nats, expected, min(k, width)))
            done += len(raw)
            if progress is not None:
                progress(done, len(order))
    names = ("column", "nats", "value", "expected")
    return Reasons(*(torch.cat([getattr(part, name) for part in parts]).cpu() for name in names))


def repairs(model: VAE, raw: Batch) -> tuple[Tensor, Tensor]:
    """What the ELBO gains by the repair of each column, in nats, and the values that repair them, (B, D) each."""
    x = raw.x
    assert isinstance(x, Tensor) and x.ndim == 2, "rows of numbers are one tensor (B, D)"
    n, d = x.shape
    observed = raw.mask.bool() if isinstance(raw.mask, Tensor) else torch.ones_like(x, dtype=torch.bool)
    row, column = torch.arange(n * d, device=x.device), torch.arange(d, device=x.device).repeat(n)
    many = cut(
        replace(raw, mask=observed), torch.arange(n, device=x.device).repeat_interleave(d)
    )  # D copies of each row
    assert isinstance(many.x, Tensor) and isinstance(many.mask, Tensor)
    hidden = many.mask.clone()
    hidden[row, column] = False
    trace = centred(model, model.likelihood.prepare(replace(many, mask=hidden)))
    expected = reconstruction(model, trace)[row, column]  # (B·D,)
    repaired = many.x.clone()
    repaired[row, column] = expected.to(repaired.dtype)
    gain = elbo(model, replace(many, x=repaired)).reshape(n, d) - elbo(model, raw)[:, None]
    return torch.where(observed, gain, 0.0), expected.reshape(n, d)


def elbo(model: VAE, raw: Batch) -> Tensor:
    """The bound of raw rows at the centre of the posterior, (B,)."""
    trace = centred(model, model.likelihood.prepare(raw))
    costs = torch.stack([sum_sites(value) for value in trace.kl().values()]).sum(0)
    found: Tensor = (sum_sites(trace.log_likelihood()) - costs)[0]
    return found


def dearest(x: Tensor, nats: Tensor, expected: Tensor, k: int) -> Reasons:
    """The k columns with the highest gains of each row, (B, D) each."""
    gains, column = nats.topk(k, dim=1)
    return Reasons(column, gains, x.gather(1, column), expected.gather(1, column).to(x.dtype))


__all__ = ["Reasons", "reasons", "repairs"]
