"""The loop keeps its promises: budgets, selection, averages, accumulation, and what happens when numbers go wrong."""

from __future__ import annotations

import dataclasses
import math
import time
from pathlib import Path
from typing import Any

import pytest
import small
import torch
from torch import Tensor, nn

from vaekit.build import build_model
from vaekit.core import Bound, DataSpec, Trace
from vaekit.data.resident import ResidentRows
from vaekit.engine import checkpoint
from vaekit.engine import fit as fitting
from vaekit.engine.fit import EpochEnd, Event, Progress, fit
from vaekit.engine.guard import Guard
from vaekit.engine.meter import Meter
from vaekit.engine.optim import EMA_EVERY, EMA_START, Average, build_optimizer, optimizers, sweep
from vaekit.engine.plan import Plan
from vaekit.engine.runtime import Interruption, Runtime
from vaekit.engine.training import Training
from vaekit.engine.validate import batch_size_for, held_out
from vaekit.errors import ConfigError, TrainingError
from vaekit.objectives.elbo import Elbo
from vaekit.recipes import resolve

CPU = Runtime(torch.device("cpu"))


def test_training_raises_the_held_out_bound() -> None:
    fitted = small.train({"epochs": 60, "lr": 1e-2})
    bounds = [line["validation"]["elbo_nats"] for line in fitted.history]
    assert bounds[-1] > bounds[0] + 5
    assert fitted.reason == "finished"


def test_the_model_returned_is_the_best_on_held_out_data(tmp_path: Path) -> None:
    """With a rate far too high the best is not the last; in memory and from the directory alike."""
    plan = {"epochs": 25, "lr": 0.1, "schedule": "constant", "optimizer": "SGD"}
    for directory in (None, tmp_path):
        fitted = small.train(plan, directory=directory)
        bounds = [line["validation"]["elbo_nats"] for line in fitted.history]
        again = held_out(fitted.model, small.make_data().validation, CPU)
        assert max(bounds) == pytest.approx(again.elbo_nats, abs=1e-5)
        assert bounds[-1] < max(bounds)
        assert not any(parameter.requires_grad for parameter in fitted.model.parameters())


def test_a_wall_clock_budget_is_kept_and_the_schedule_fits_to_it() -> None:
    begin = time.perf_counter()
    fitted = small.train({"epochs": None, "time": "2s"}, started=begin)
    assert 1.2 < time.perf_counter() - begin < 3.5  # a machine under load may be late
    assert fitted.reason == "time"
    assert fitted.history[-1]["lr"] < 0.05 * 2e-3


@pytest.mark.parametrize(
    ("steps", "accumulate", "epochs"), [(4, 1, 1), (6, 1, 1), (15, 1, 3), (1, 1, 1), (4, 2, 2), (7, 3, 4)]
)
def test_training_ends_at_the_planned_step(steps: int, accumulate: int, epochs: int) -> None:
    """In mid-epoch (six updates) or at its end; the last epoch's line is written, and the schedule has run out."""
    fitted = small.train({"epochs": None, "steps": steps, "accumulate": accumulate})
    assert (fitted.steps, fitted.reason, len(fitted.history)) == (steps, "finished", epochs)
    last = fitted.history[-1]
    assert last["step"] == steps and last["validation"] is not None
    assert last["lr"] == pytest.approx(0, abs=1e-9)
    optimizer_steps = steps if accumulate == 1 else steps * accumulate
    assert fitted.history[0]["epoch"] == 1 and optimizer_steps <= epochs * 6


def test_whichever_ends_first() -> None:
    assert small.train({"epochs": 2, "steps": 100}).steps == 12
    assert small.train({"epochs": 50, "steps": 8}).steps == 8


def test_the_schedule_fits_to_the_steps() -> None:
    """Half-way the cosine is at half the rate, however many epochs there could be."""
    rates: list[float] = []

    class Noted(Elbo):
        def __call__(self, trace: Trace, step: int) -> Bound:
            rates.append(training.rate())
            return super().__call__(trace, step)

    model, _, data, plan = small.parts({"epochs": 50, "steps": 20, "lr": 1e-2})
    training = Training(model, Noted(), data, plan, CPU, None, None)
    fitting.run(training, Interruption(), ())
    assert len(rates) == 20 and rates[0] == pytest.approx(1e-2)
    assert rates[10] == pytest.approx(5e-3) and rates == sorted(rates, reverse=True)


def test_patience_stops_training() -> None:
    fitted = small.train({"epochs": 500, "lr": 0.3, "schedule": "constant", "patience": 3})
    assert fitted.reason == "patience"
    best = max(range(len(fitted.history)), key=lambda i: fitted.history[i]["validation"]["elbo_nats"])
    assert len(fitted.history) == best + 1 + 3


def test_accumulation_is_the_same_mathematics() -> None:
    """Two halves of a batch and one step; noise is switched off by a posterior and an objective that use the mean."""

    @dataclasses.dataclass(frozen=True)
    class MeanOnly(Elbo):
        def __call__(self, trace: Trace, step: int) -> Bound:
            q = trace.latents[0].q
            assert q is not None
            loss = q.mean.square().sum(1).mean() + q.stddev.sum(1).mean()
            return Bound(loss, {"elbo": loss.detach()})

    weights = []
    for plan in ({"batch_size": 40}, {"batch_size": 20, "accumulate": 2}):
        model, _, data, settings = small.parts({"epochs": 3, "optimizer": "SGD", "lr": 0.05, **plan})
        data = small.Data(small.Rows(data.train.x[:200]), small.Rows(data.validation.x[:0]))
        weights.append(fit(model, MeanOnly(), data, settings).model.state_dict())
    for name, value in weights[0].items():
        torch.testing.assert_close(value, weights[1][name], rtol=1e-5, atol=1e-6)


def test_the_average_is_what_it_says() -> None:
    """EMA_EVERY constant steps after the start: the average moves as decay^EMA_EVERY, buffers are copied."""
    source = nn.BatchNorm1d(3)
    average = Average(source, decay=0.5)
    with torch.no_grad():
        source.weight.fill_(3.0)
        source.running_mean.fill_(7.0)  # type: ignore[union-attr]
    for step in range(EMA_START + 1, EMA_START + EMA_EVERY + 1):
        average.update(step)
    decay = 0.5**EMA_EVERY
    current = average.current()
    torch.testing.assert_close(current.weight, torch.full((3,), decay * 1.0 + (1 - decay) * 3.0))
    assert torch.equal(current.running_mean, torch.full((3,), 7.0))  # type: ignore[arg-type]
    assert not current.weight.requires_grad


# --- numbers that go wrong -------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Sick(Elbo):
    """The bound, but not finite at some steps."""

    when: tuple[int, ...] = ()
    always_after: int = 10**9

    def __call__(self, trace: Trace, step: int) -> Bound:
        bound = super().__call__(trace, step)
        sick = step in self.when or step >= self.always_after
        return Bound(bound.loss * math.nan, bound.terms) if sick else bound


def test_a_step_with_a_non_finite_loss_is_skipped(tmp_path: Path) -> None:
    model, _, data, plan = small.parts({"epochs": 3})
    fitted = fit(model, Sick(when=(2, 3, 9)), data, plan)
    assert fitted.skipped == 3
    assert fitted.history[-1]["skipped"] == 3
    assert all(torch.isfinite(value).all() for value in fitted.model.state_dict().values())
    assert math.isfinite(fitted.history[0]["train"]["elbo_nats"])


def test_too_many_in_a_row_stop_with_a_diagnosis() -> None:
    model, _, data, plan = small.parts({"epochs": 200, "max_skipped": 5})
    with pytest.raises(TrainingError, match="skipped for a non-finite loss") as caught:
        fit(model, Sick(always_after=4), data, plan)
    assert "train.lr" in str(caught.value)


def test_a_training_without_a_single_update_is_no_success(tmp_path: Path) -> None:
    model, _, data, plan = small.parts({"epochs": 1})
    with pytest.raises(TrainingError, match="non-finite loss"):
        fit(model, Sick(always_after=0), data, plan, directory=tmp_path)


def test_ruined_weights_are_never_saved(tmp_path: Path) -> None:
    """A gradient that is not finite under a finite loss, without clipping, gets through; the last good checkpoint stays."""

    @dataclasses.dataclass(frozen=True)
    class Ruinous(Elbo):
        def __call__(self, trace: Trace, step: int) -> Bound:
            bound = super().__call__(trace, step)
            if step == 9:
                bound.loss.register_hook(lambda gradient: gradient * math.nan)
            return bound

    model, _, data, plan = small.parts({"epochs": 3, "checkpoint": "4 steps"})
    with pytest.raises(TrainingError, match="weights themselves are not finite"):
        fit(model, Ruinous(), data, plan, directory=tmp_path)
    tensors, record = checkpoint.load(tmp_path / "last.safetensors")
    assert record["step"] == 8
    assert all(torch.isfinite(value).all() for name, value in tensors.items() if name.startswith("model/"))


def test_the_diagnosis_names_the_culprit() -> None:
    model, objective, data, plan = small.parts({"epochs": 200, "max_skipped": 2})
    with torch.no_grad():
        model.likelihood.head.layer.weight.fill_(math.inf)  # type: ignore[union-attr, operator]
    with pytest.raises(TrainingError, match=r"likelihood\.head\.layer\.weight"):
        fit(model, objective, data, plan)


@pytest.mark.parametrize("fused", [True, False])
def test_an_accelerator_decides_without_the_host(fused: bool) -> None:
    """The path of accelerators, on the CPU: a fused optimizer takes no step, another one a step with zero gradients."""
    parameter = nn.Parameter(torch.ones(3))
    plan = Plan(optimizer="SGD" if not fused else "Adam", optimizer_options={"fused": fused}, lr=0.1)
    optimizer = build_optimizer(plan, [parameter], CPU.device)
    model = nn.Module()
    model.weight = parameter
    guard = Guard(model, optimizer, plan, CPU)
    guard.on_host = False
    for factor, moves in ((1.0, True), (math.nan, False), (1.0, True)):
        before = parameter.detach().clone()
        loss = (parameter * factor).sum()
        loss.backward()
        guard.see(loss)
        guard.step()
        assert (not torch.equal(parameter, before)) is moves
        assert torch.isfinite(parameter).all()
    assert guard.skipped.item() == 1
    assert guard.in_a_row.item() == 0


def test_out_of_memory_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: Any) -> str:
        raise RuntimeError("[enforce fail at alloc_cpu.cpp:117] . DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr(fitting, "run", greedy)
    with pytest.raises(TrainingError, match=r"train\.batch_size=16 --set train\.accumulate=2"):
        small.train()


def test_other_runtime_errors_are_not_called_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> str:
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    monkeypatch.setattr(fitting, "run", broken)
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        small.train()


# --- choices ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(optimizers()) - {"Muon"}))
def test_every_optimizer_of_torch_trains(name: str) -> None:
    fitted = small.train({"epochs": 1, "optimizer": name, "lr": 1e-3})
    assert fitted.steps == 6
    assert fitted.skipped == 0


def test_muon_says_what_it_needs() -> None:
    if "Muon" in optimizers():
        with pytest.raises(ConfigError, match="Muon refuses"):
            small.train({"optimizer": "Muon"})


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"optimizer": "Adan"}, r"did you mean 'Adam'\?"),
        ({"optimizer": "LBFGS"}, "it needs a closure"),
        ({"optimizer_options": {"beta": 3}}, r"did you mean 'betas'\?"),
        ({"optimizer_options": {"betas": [2.0, 3.0]}}, "AdamW refuses them"),
        ({"device": "cuda:7"}, "cannot be used here"),
        ({"device": "abacus"}, "cannot be used here"),
    ],
)
def test_wrong_choices_are_refused(plan: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        small.train(plan)


def test_bfloat16_trains_float32_weights() -> None:
    fitted = small.train({"epochs": 10, "precision": "bfloat16", "lr": 1e-2})
    exact = small.train({"epochs": 10, "precision": "float32", "lr": 1e-2})
    assert all(value.dtype == torch.float32 for value in fitted.model.parameters())
    ends = [run.history[-1]["validation"]["elbo_nats"] for run in (fitted, exact)]
    assert ends[0] == pytest.approx(ends[1], abs=1.5)


def test_a_compiled_step_trains_the_same_model() -> None:
    fitted = small.train({"epochs": 2, "compile": True, "lr": 1e-2})
    plain = small.train({"epochs": 2, "lr": 1e-2})
    ends = [run.history[-1]["validation"]["elbo_nats"] for run in (fitted, plain)]
    assert ends[0] == pytest.approx(ends[1], abs=1.5)


def test_without_held_out_data_the_last_weights_are_kept(tmp_path: Path) -> None:
    model, objective, data, plan = small.parts({"epochs": 2})
    data = small.Data(data.train, small.Rows(data.validation.x[:0]))
    fitted = fit(model, objective, data, plan, directory=tmp_path)
    assert all(torch.equal(a, b) for a, b in zip(fitted.model.parameters(), model.parameters(), strict=True))
    assert fitted.history[-1]["validation"] is None


def test_hooks_see_progress_and_epochs() -> None:
    events: list[Event] = []
    small.train({"epochs": 300}, hooks=[events.append])
    epochs = [event for event in events if isinstance(event, EpochEnd)]
    progress = [event for event in events if isinstance(event, Progress)]
    assert [event.record["epoch"] for event in epochs] == list(range(1, 301))
    assert all(0 <= event.fraction <= 1 and event.images_per_second > 0 for event in progress)
    assert [event.fraction for event in progress] == sorted(event.fraction for event in progress)


def test_fewer_rows_than_a_batch() -> None:
    model, objective, data, plan = small.parts({"epochs": 2, "batch_size": 1000})
    assert fit(model, objective, data, plan).steps == 2


def test_reported_terms_are_the_plain_bound_whatever_the_loss() -> None:
    model, _, data, _ = small.parts()
    batch = model.likelihood.prepare(next(data.train.batches(torch.arange(30), 30)))
    torch.manual_seed(0)
    trace = model(batch)
    plain = Elbo()(trace, 0)
    for other in (Elbo(beta=4.0), Elbo(warmup=100), Elbo(free_bits=3.0), Elbo(free_bits_per_dimension=0.5)):
        bound = other(trace, 0)
        assert {name: value.item() for name, value in bound.terms.items()} == {
            name: value.item() for name, value in plain.terms.items()
        }
    kl: Tensor = plain.terms["kl"]
    assert plain.loss.item() == pytest.approx(-plain.terms["elbo"].item(), rel=1e-5)
    assert Elbo(beta=4.0)(trace, 0).loss.item() == pytest.approx(plain.loss.item() + 3 * kl.item(), rel=1e-5)
    assert Elbo(warmup=4)(trace, 1).loss.item() == pytest.approx(plain.loss.item() - 0.5 * kl.item(), rel=1e-5)
    assert Elbo(free_bits=kl.item() + 3)(trace, 0).loss.item() == pytest.approx(plain.loss.item() + 3, rel=1e-4)
    per_dimension = trace.kl()["z"][0].mean(0)
    paid = per_dimension.clamp(min=0.05).sum().item()
    loss = Elbo(free_bits_per_dimension=0.05)(trace, 0).loss.item()
    assert loss == pytest.approx(plain.loss.item() - kl.item() + paid, rel=1e-5)


def test_the_loss_does_not_grow_with_the_batch() -> None:
    model, _, data, _ = small.parts()
    for repeats in (1, 3):
        index = torch.arange(20).repeat(repeats)
        batch = model.likelihood.prepare(next(data.train.batches(index, len(index))))
        with torch.no_grad():
            trace = model(batch)
            q = trace.latents[0].q
            assert q is not None
            kl = Elbo()(trace, 0).terms["kl"].item()
        if repeats == 1:
            first = kl
    assert kl == pytest.approx(first, rel=1e-5)


def test_fewer_batches_than_are_to_be_accumulated() -> None:
    """220 rows are two batches of 100: an update takes both, and none is left out for ever."""
    with pytest.warns(UserWarning, match="only 2 batches of 100"):
        fitted = small.train({"batch_size": 100, "accumulate": 5, "epochs": 3})
    assert fitted.steps == 3


def test_the_average_follows_from_the_first_step() -> None:
    """A training of three steps keeps other weights than those it began with."""
    model, objective, data, plan = small.parts({"batch_size": 220, "epochs": 3, "ema": 0.9})
    before = {name: value.clone() for name, value in model.state_dict().items()}
    after = fit(model, objective, data, plan).model.state_dict()
    assert any(not torch.equal(before[name], after[name]) for name in before)


def test_no_mean_of_nothing_finite() -> None:
    meter = Meter()
    meter.add({"elbo": torch.tensor(math.nan)})
    assert math.isnan(meter.means()["elbo_nats"])


def test_terms_add_up_whenever_they_are_read() -> None:
    """Sums are of batches in turn, in double precision: reading early changes no bit; a non-finite batch is left out."""
    terms = [{"elbo": torch.tensor(-1e4 / (i + 1)), "kl": torch.tensor(float(i))} for i in range(150)]
    terms[7] = {"elbo": torch.tensor(math.inf), "kl": torch.tensor(1.0)}
    seldom, often = Meter(), Meter()
    for term in terms:
        seldom.add(term)
        often.add(term)
        often.read()
    assert seldom.means() == often.means()
    assert seldom.means()["kl_nats"] == pytest.approx((sum(range(150)) - 7) / 149)
    again = Meter()
    again.restore(seldom.state(), seldom.names)
    assert again.means() == seldom.means()


def test_vanished_means_of_the_optimizer_are_swept() -> None:
    """A weight without a gradient for long leaves no denormal numbers behind, and the others are left alone."""
    weight = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([weight], lr=0.0)
    weight.grad = torch.tensor([1.0, 1e-6, 1.0])
    optimizer.step()
    means = optimizer.state[weight]["exp_avg"]
    means[0] = 1e-37
    kept = means[1:].clone()
    sweep(optimizer)
    assert means[0] == 0 and torch.equal(means[1:], kept)


@pytest.mark.parametrize(("width", "expected"), [(8, 500), (40_000, 52), (4_000_000, 1)])
def test_validation_takes_fewer_examples_where_the_network_makes_much_of_each(width: int, expected: int) -> None:
    spec = DataSpec((1, 4, 4), levels=256)
    rows = ResidentRows(torch.zeros(3, 1, 4, 4, dtype=torch.uint8), spec)
    nets = {"encoder": {"name": "mlp", "hidden": [4]}, "decoder": {"name": "mlp", "hidden": [width]}}
    model = {"latent": 1, **nets, "likelihood": {"name": "logistic"}}
    config = resolve({"data": "digits", "model": model, "train": {"epochs": 1}})
    assert batch_size_for(build_model(config, spec), rows, Runtime.choose("cpu")) == expected
