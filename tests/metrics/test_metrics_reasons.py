"""Reasons are the columns whose repair makes a row usual again: by the definition, and where they are known."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from linear_model import SIGMA, D, linear
from torch import Tensor

from vaekit.core import Batch
from vaekit.data.resident import ResidentRows
from vaekit.engine import memory
from vaekit.metrics import centred, reconstruction
from vaekit.metrics.abnormality import parse, see, values
from vaekit.metrics.detector import Detector, scan
from vaekit.metrics.prepare import prepared
from vaekit.metrics.reasons import PASSES, Reasons, repairs
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
    there = found.column >= 0
    empty = torch.full((*given.shape[:-1], D + 1), torch.nan, dtype=given.dtype)
    return empty.scatter(1, torch.where(there, found.column, D), given)[:, :D]


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
        x, hidden = raw.x.double().clone(), observed.clone()
        hidden[0, j] = False
        filled = reconstruction(model, centred(model, model.likelihood.prepare(replace(raw, mask=hidden))))[0, j]
        for _ in range(PASSES - 1):  # what is expected is the next guess
            x[0, j] = filled
            seen = observed.clone()
            seen[0, j] = True
            guessed = replace(raw, x=x, mask=seen)
            filled = reconstruction(model, centred(model, model.likelihood.prepare(guessed)))[0, j]
        assert expected[i, j].item() == pytest.approx(filled.item(), rel=1e-9)
        repaired = raw.x.double().clone()
        repaired[0, j] = filled
        gain = bound(model, replace(raw, x=repaired)) - bound(model, raw) if observed[0, j] else torch.zeros(1)
        assert gains[i, j].item() == pytest.approx(gain.item(), rel=1e-4, abs=1e-4)


def test_the_dearest_columns_come_first() -> None:
    rows, (model,) = linear().rows(N), models(0.2)
    found = repairs([model], rows, torch.arange(N))
    gains, expected = found.nats, found.expected
    why = reasons([model], rows, torch.arange(N), D)
    there = why.column >= 0
    best = gains.sort(1, descending=True).values
    assert torch.equal(there, best > 0) and there.any() and not there.all()
    torch.testing.assert_close(why.nats[there], best[there])
    column = why.column.clamp(min=0)
    assert torch.equal(why.value[there], rows.x.gather(1, column)[there])
    torch.testing.assert_close(why.expected[there], expected.gather(1, column)[there])
    assert why.value[~there].isnan().all() and why.nats[~there].isnan().all()


def test_what_is_expected_of_a_column_is_its_mean_given_the_others() -> None:
    """In closed form for the linear model with its exact posterior; every pass comes nearer to it."""
    oracle, (model,), rows = linear(), models(0.0), linear().rows(N)
    scale, mean = torch.tensor(oracle.spec.scale).double(), torch.tensor(oracle.spec.mean).double()
    weight = oracle.weight.double()
    covariance = weight @ weight.T + SIGMA**2 * torch.eye(D).double()
    y = (rows.x.double() - mean) / scale - oracle.bias.double()
    precision = covariance.inverse()
    exact = y - (y @ precision) / precision.diagonal()  # E[y_i | y_−i]
    exact = (exact + oracle.bias.double()) * scale + mean
    found = repairs([model], rows, torch.arange(N)).expected
    first = torch.stack([torch.tensor(oracle.spec.mean).double()] * N)
    assert ((found - exact).abs() / scale).mean() < 0.3 * ((first - exact).abs() / scale).mean()


def test_a_spoilt_column_is_the_reason() -> None:
    """In every row another one, and what is expected of it does not depend on the wrong value."""
    rows, spoilt = linear().rows(70), torch.arange(70) % D
    x = rows.x.clone()
    x[torch.arange(70), spoilt] += 9 * torch.tensor(rows.spec.scale)[spoilt]
    why = reasons(models(0.0), ResidentRows(x, rows.spec), torch.arange(70), D)
    usual = repairs(models(0.0), rows, torch.arange(70))
    assert torch.equal(why.column[:, 0], spoilt)
    expected = by_column(why, "expected").gather(1, spoilt[:, None])
    torch.testing.assert_close(expected, usual.expected.gather(1, spoilt[:, None]))


def test_several_models_are_averaged() -> None:
    three, rows, order = models(0.0, 0.2, 0.4), linear().rows(N), torch.tensor([7, 2, 2, 11])
    together, alone = repairs(three, rows, order), [repairs([model], rows, order) for model in three]
    for name in ("nats", "expected"):
        each = torch.stack([getattr(found, name) for found in alone])
        torch.testing.assert_close(getattr(together, name), each.mean(0))
    assert torch.equal(together.x, rows.x[order])
    assert not torch.allclose(alone[0].nats, alone[2].nats), "the models do not agree"


@pytest.mark.parametrize("fits", [1, 3, 20])
def test_figures_do_not_depend_on_how_many_rows_pass_together(fits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    usual = reasons(models(0.2), linear().rows(N), torch.arange(N), 4)
    monkeypatch.setitem(memory._MOST, "cpu", fits)
    found = reasons(models(0.2), linear().rows(N), torch.arange(N), 4)
    assert torch.equal(found.column, usual.column)
    torch.testing.assert_close(found.nats, usual.nats, rtol=1e-9, atol=1e-9, equal_nan=True)


def test_no_more_reasons_than_columns() -> None:
    why = reasons(models(0.2), linear().rows(3), torch.arange(3), 50)
    assert why.column.shape == (3, D)


def test_what_was_not_observed_is_no_reason() -> None:
    rows = with_gaps()
    found = reasons(models(0.2), rows, torch.arange(N), D)
    assert by_column(found, "nats")[rows.x.isnan()].isnan().all() and (found.nats[found.column >= 0] > 0).all()
    assert not repairs(models(0.2), rows, torch.arange(N)).expected.isnan().any()


def test_reasons_of_some_rows_are_put_among_those_of_none() -> None:
    some = reasons([linear().model(0.2)], linear().rows(N), torch.tensor([4, 0]), 2)
    whole = Reasons.none(5, 2).put(torch.tensor([3, 1]), some)
    assert torch.equal(whole.column[[3, 1]], some.column) and torch.equal(whole.nats[[3, 1]], some.nats)
    assert (whole.column[[0, 2, 4]] == -1).all() and whole.value[[0, 2, 4]].isnan().all()


def test_a_detector_has_reasons_of_all_its_models() -> None:
    two, rows = models(0.1, 0.3), linear().rows(N)
    normal = scan(two, [None, None], rows, ("elbo",)).parts
    found = Detector(two, parse("elbo"), [None, None], normal).reasons(rows, torch.tensor([5, 1]), 2)
    torch.testing.assert_close(found.nats, reasons(two, rows, torch.tensor([5, 1]), 2).nats, equal_nan=True)
