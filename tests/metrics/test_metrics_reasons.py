"""Reasons are the columns whose repair makes a row usual again: by the definition, and where they are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from linear_model import D, linear
from torch import Tensor

from vaekit.core import Batch
from vaekit.data.resident import ResidentRows
from vaekit.metrics import centred, reconstruction
from vaekit.metrics import reasons as module
from vaekit.metrics.abnormality import parse, see, values
from vaekit.metrics.detector import Detector, scan
from vaekit.metrics.prepare import prepared
from vaekit.metrics.reasons import Reasons, repairs
from vaekit.model import VAE

N = 13


def models(*errors: float) -> list[VAE]:
    return [linear().model(error).double() for error in errors]


def reasons(models: list[VAE], rows: ResidentRows, order: Tensor, k: int) -> Reasons:
    return repairs(models, rows, order).dearest(k)


def with_gaps() -> ResidentRows:
    rows = linear().rows(N)
    gaps = torch.arange(N * D).reshape(N, D) % 4 == 0
    return ResidentRows(torch.where(gaps, torch.nan, rows.x), rows.spec, gaps=True)


def by_column(found: Reasons, name: str) -> Tensor:
    """What all reasons say, with the columns in their own order, (n, D)."""
    given: Tensor = getattr(found, name)
    return torch.empty_like(given).scatter(1, found.column, given)


def bound(model: VAE, raw: Batch) -> Tensor:
    """The ELBO at the centre, (1,)."""
    return -values(see(model, raw, prepared(model.likelihood, raw, 0)), ["elbo"])[:, 0]


@pytest.mark.parametrize("gaps", [False, True])
def test_gains_by_the_definition(gaps: bool) -> None:
    """One row and one column at a time: hide it, see what is expected, put that in its place."""
    (model,), rows = models(0.2), with_gaps() if gaps else linear().rows(N)
    found = repairs([model], rows, torch.arange(N))
    gains, expected = found.nats, found.expected
    for i, j in [(0, 1), (4, 0), (7, 5), (12, 6), (5, 2)]:
        raw = rows.gather(torch.tensor([i]))
        assert isinstance(raw.x, Tensor)
        observed = ~raw.x.isnan()
        hidden = observed.clone()
        hidden[0, j] = False
        trace = centred(model, model.likelihood.prepare(replace(raw, mask=hidden)))
        filled = reconstruction(model, trace)[0, j]
        assert expected[i, j].item() == pytest.approx(filled.item(), rel=1e-9)
        repaired = raw.x.double().clone()
        repaired[0, j] = filled
        gain = bound(model, replace(raw, x=repaired)) - bound(model, raw) if observed[0, j] else torch.zeros(1)
        assert gains[i, j].item() == pytest.approx(gain.item(), rel=1e-4, abs=1e-4)


def test_the_dearest_columns_come_first() -> None:
    rows, (model,) = linear().rows(N), models(0.2)
    found = repairs([model], rows, torch.arange(N))
    gains, expected = found.nats, found.expected
    why = reasons([model], rows, torch.arange(N), 3)
    assert why.column.shape == why.nats.shape == why.value.shape == why.expected.shape == (N, 3)
    torch.testing.assert_close(why.nats, gains.sort(1, descending=True).values[:, :3])
    torch.testing.assert_close(why.nats, gains.gather(1, why.column))
    assert torch.equal(why.value, rows.x.gather(1, why.column))
    torch.testing.assert_close(why.expected, expected.gather(1, why.column))


def test_a_spoilt_column_is_the_reason() -> None:
    """In every row another one, and what is expected of it does not depend on the wrong value."""
    rows, spoilt = linear().rows(70), torch.arange(70) % D
    x = rows.x.clone()
    x[torch.arange(70), spoilt] += 9 * torch.tensor(rows.spec.scale)[spoilt]
    why, usual = (reasons(models(0.0), ResidentRows(part, rows.spec), torch.arange(70), D) for part in (x, rows.x))
    assert torch.equal(why.column[:, 0], spoilt)
    expected = [by_column(found, "expected").gather(1, spoilt[:, None]) for found in (why, usual)]
    torch.testing.assert_close(*expected)


def test_several_models_are_averaged() -> None:
    three, rows, order = models(0.0, 0.2, 0.4), linear().rows(N), torch.tensor([7, 2, 2, 11])
    together, alone = reasons(three, rows, order, D), [reasons([model], rows, order, D) for model in three]
    for name in ("nats", "expected"):
        each = torch.stack([by_column(found, name) for found in alone])
        torch.testing.assert_close(by_column(together, name), each.mean(0))
    assert torch.equal(by_column(together, "value"), rows.x[order])
    assert not torch.allclose(by_column(alone[0], "nats"), by_column(alone[2], "nats")), "the models do not agree"


@pytest.mark.parametrize("at_once", [1, 200, 2**22])
def test_figures_do_not_depend_on_how_many_rows_pass_together(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = reasons(models(0.2), linear().rows(N), torch.arange(N), 4)
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    found = reasons(models(0.2), linear().rows(N), torch.arange(N), 4)
    assert torch.equal(found.column, usual.column)
    torch.testing.assert_close(found.nats, usual.nats, rtol=1e-9, atol=1e-9)


def test_no_more_reasons_than_columns() -> None:
    why = reasons(models(0.2), linear().rows(3), torch.arange(3), 50)
    assert why.column.sort(1).values.tolist() == [list(range(D))] * 3


def test_what_was_not_observed_is_no_reason() -> None:
    rows = with_gaps()
    found = reasons(models(0.2), rows, torch.arange(N), D)
    assert torch.equal(by_column(found, "value").isnan(), rows.x.isnan())
    assert not by_column(found, "nats")[rows.x.isnan()].any()
    assert not by_column(found, "nats").isnan().any() and not by_column(found, "expected").isnan().any()


def test_reasons_of_some_rows_are_put_among_those_of_none() -> None:
    some = reasons([linear().model(0.2)], linear().rows(N), torch.tensor([4, 0]), 2)
    whole = Reasons.none(5, 2).put(torch.tensor([3, 1]), some)
    assert torch.equal(whole.column[[3, 1]], some.column) and torch.equal(whole.nats[[3, 1]], some.nats)
    assert (whole.column[[0, 2, 4]] == -1).all() and whole.value[[0, 2, 4]].isnan().all()


def test_a_detector_has_reasons_of_all_its_models() -> None:
    two, rows = models(0.1, 0.3), linear().rows(N)
    normal = scan(two, [None, None], rows, ("elbo",)).parts
    found = Detector(two, parse("elbo"), [None, None], normal).reasons(rows, torch.tensor([5, 1]), 2)
    assert torch.equal(found.nats, reasons(two, rows, torch.tensor([5, 1]), 2).nats)
