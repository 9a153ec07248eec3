"""Noise belongs to rows: no figure depends on batches, on order, or on what else is evaluated."""

from __future__ import annotations

import pytest
import torch
from linear_model import SPEC, binary_model, grey_rows

from vaekit.core import Batch, DataSpec
from vaekit.engine import memory
from vaekit.likelihoods.gaussian import Gaussian
from vaekit.metrics import measure
from vaekit.metrics import prepare as module
from vaekit.metrics.prepare import chunks, cut, join, prepared
from vaekit.nets.mlp import Mlp


def all_prepared(n: int, seed: int, order: torch.Tensor | None = None) -> torch.Tensor:
    found = [chunk.batch.x for chunk in chunks(binary_model(), grey_rows(n), seed, order)]
    return torch.cat(found)  # type: ignore[arg-type]


def test_a_row_is_prepared_alike_in_any_batch_and_order(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = all_prepared(50, 3)
    monkeypatch.setattr(module, "READ", 7)
    assert torch.equal(all_prepared(50, 3), reference)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))
    assert torch.equal(all_prepared(50, 3, order), reference[order])
    assert torch.equal(all_prepared(50, 3, torch.tensor([41])), reference[41:42])


def test_rows_and_seeds_have_different_noise() -> None:
    grey = grey_rows(1).x.expand(200, -1, -1, -1)
    batch = Batch(grey, index=torch.arange(200))
    draws = prepared(binary_model().likelihood, batch, 0).x
    assert isinstance(draws, torch.Tensor)
    probability = grey.float() / 15
    assert (draws.mean(0) - probability[0]).abs().max() < 0.15, "each row is a draw of its own"
    assert not torch.equal(draws, prepared(binary_model().likelihood, batch, 1).x)  # type: ignore[arg-type]


def test_a_rows_figures_do_not_depend_on_the_rows_beside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(memory._MOST, "cpu", 16)  # from 16 samples on, single rows pass through the model
    model, rows = binary_model(), grey_rows(30)
    whole = measure(model, rows, 16, seed=2)
    single = [measure(model, rows, 16, seed=2, order=torch.tensor([row])) for row in range(30)]
    elbo = sum(found.elbo.mean for found in single) / 30
    bound = sum(found.importance_weighted.mean for found in single) / 30
    assert whole.elbo.mean == pytest.approx(elbo, rel=1e-6)
    assert whole.importance_weighted.mean == pytest.approx(bound, rel=1e-6)
    shuffled = measure(model, rows, 16, seed=2, order=torch.randperm(30))
    assert shuffled.importance_weighted.mean == pytest.approx(bound, rel=1e-6)


def test_figures_do_not_depend_on_how_rows_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(memory._MOST, "cpu", 512)
    model, rows = binary_model(), grey_rows(60)
    reference = measure(model, rows, 512, seed=2)
    monkeypatch.setattr(module, "READ", 11)
    found = measure(model, rows, 512, seed=2)
    assert found.importance_weighted.mean == pytest.approx(reference.importance_weighted.mean, rel=1e-6)
    assert found.log_likelihood.stderr == pytest.approx(reference.log_likelihood.stderr, rel=1e-5)


def test_measuring_leaves_torchs_random_state_and_the_model_alone() -> None:
    model, rows = binary_model(), grey_rows(12)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    torch.manual_seed(3)
    state = torch.get_rng_state()
    first = measure(model, rows, 3)
    assert torch.equal(torch.get_rng_state(), state)
    torch.manual_seed(4)
    assert measure(model, rows, 3).elbo == first.elbo
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_constants_of_all_rows_and_values_of_single_rows_are_joined_rightly() -> None:
    rows = grey_rows(5)
    likelihood = Gaussian(spec=SPEC, features=(9,), decoder=Mlp((9,), in_shape=(2,)))
    batch = prepared(likelihood, rows.gather(torch.arange(5)), 0)
    assert isinstance(batch.x, torch.Tensor) and batch.x.shape == (5, *SPEC.shape)
    assert isinstance(batch.log_det, torch.Tensor) and batch.log_det.ndim == 0
    assert batch.index is not None and batch.index.tolist() == [0, 1, 2, 3, 4]
    ones = [
        Batch(torch.ones(1, 4), mask=torch.ones(1, 4), context={"c": torch.ones(1, 2)}, log_det=torch.ones(1, 4))
    ] * 3
    joined = join(ones)
    assert joined.mask is not None and joined.mask.shape == (3, 4)  # type: ignore[union-attr]
    assert joined.log_det.shape == (3, 4) and joined.context["c"].shape == (3, 2)  # type: ignore[union-attr]
    assert cut(joined, torch.tensor([2, 0])).log_det.shape == (2, 4)  # type: ignore[union-attr]


def test_rows_without_noise_are_prepared_together() -> None:
    spec = DataSpec(shape=(3,), mean=(1.0, 2.0, 3.0), scale=(2.0, 1.0, 0.5))
    likelihood = Gaussian(spec=spec, features=(9,), decoder=Mlp((9,), in_shape=(2,)))
    calls = []
    prepare = likelihood.prepare
    likelihood.prepare = lambda batch, generator=None: calls.append(len(batch)) or prepare(batch, generator)  # type: ignore
    raw = Batch(torch.randn(40, 3), index=torch.arange(40).flip(0))
    whole = prepared(likelihood, raw, 0)
    assert calls == [40], "no row by itself"
    single = [prepare(cut(raw, slice(row, row + 1))).x for row in range(40)]
    assert torch.equal(whole.x, torch.cat(single)) and whole.index.tolist() == list(range(39, -1, -1))  # type: ignore
