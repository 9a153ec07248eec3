"""The doctor: a healthy run gets nothing prescribed, and every illness is found, with the figure it is known by."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch
from sick_runs import SPEC, D, healthy, line, rows, settling

from vaekit.core import DataSpec
from vaekit.errors import ConfigError
from vaekit.run import Run
from vaekit.tasks.doctor import Diagnosis, Finding, doctor

LEVELS = DataSpec((D,), levels=2)


def only(found: Diagnosis) -> Finding:
    assert len(found) == 1, [finding.name for finding in found]
    finding = next(iter(found))
    assert finding.what and finding.why and finding.fix
    return finding


def head(run: Run) -> Any:
    return run.model.groups["z"].posterior.head.layer  # type: ignore[union-attr]


def binary(logits: float, x: torch.Tensor | None = None) -> Run:
    """Binary data, and a decoder that is sure of zeros to some degree, with a code that is used for one of its values."""
    generator = torch.Generator().manual_seed(2)
    z = torch.randn(300, 3, generator=generator)
    x = (torch.rand(300, D, generator=generator) < 0.2).to(torch.uint8) if x is None else x
    run = healthy(x=x, spec=LEVELS, likelihood={"name": "bernoulli"})
    run.model.likelihood.head.layer.weight.zero_()  # type: ignore[operator, union-attr]
    run.model.likelihood.head.layer.bias.fill_(logits)  # type: ignore[operator, union-attr]
    head(run).weight.copy_(torch.cat([3 * torch.eye(3, D), torch.zeros(3, D)]))
    assert z.shape == (300, 3)
    return run


def test_a_healthy_run_has_no_findings() -> None:
    found = doctor(healthy())
    assert not len(found), [str(finding) for finding in found]
    assert found.looked_at and not found.left_out
    assert not len(doctor(binary(-1.4)))
    assert not len(doctor(healthy(likelihood={"name": "gaussian", "scale": "shared"})))


def test_a_trained_run_has_no_problem(run: Run) -> None:
    assert not [finding for finding in doctor(run) if finding.severity == "problem"]


@pytest.mark.parametrize("reason", ["", "interrupted"])
def test_an_unfinished_run(reason: str) -> None:
    finding = only(doctor(healthy(reason=reason, history=settling(7))))
    assert (
        finding.name == "unfinished" and finding.figures == {"epochs": 7, "planned": 10} and "--resume" in finding.fix
    )


@pytest.mark.parametrize(("skipped", "severity"), [(1, "warning"), (0, None), (5, "problem")])
def test_skipped_steps(skipped: int, severity: str | None) -> None:
    found = doctor(healthy(skipped=skipped, steps=200))
    if severity is None:
        assert not len(found)
    else:
        finding = only(found)
        assert (finding.name, finding.severity) == ("skipped-steps", severity)
        assert finding.figures == {"skipped": skipped, "share": skipped / 200}


def test_an_unfinished_warm_up() -> None:
    log = [line(epoch, -20 - 30 * 0.4**epoch) | {"beta": epoch / 40} for epoch in range(1, 11)]
    finding = only(doctor(healthy(history=log, objective={"warmup": 400})))
    assert finding.name == "warm-up-unfinished" and finding.figures == {"beta": 0.25, "final_beta": 1.0}


def test_overfitting_is_told_from_noise() -> None:
    log = settling()
    log[-1] = line(10, log[-1]["validation"]["elbo_nats"], train=-18.0)
    finding = only(doctor(healthy(history=log)))
    assert finding.name == "overfitting"
    assert finding.figures["gap_nats"] == pytest.approx(2.0, abs=0.01)
    assert finding.figures["effect"] == pytest.approx(2.0 / 5, abs=0.01)  # the bound varies by 0.5 · √100 over examples
    log[-1] = line(10, log[-1]["validation"]["elbo_nats"], train=-19.0)
    assert not len(doctor(healthy(history=log)))


def test_a_bound_past_its_best() -> None:
    finding = only(
        doctor(healthy(history=[*settling(), *(line(epoch, -20 - 0.5 * (epoch - 10)) for epoch in (11, 12, 13))]))
    )
    assert finding.name == "past-its-best" and finding.severity == "note"
    assert finding.figures["best_epoch"] == 10 and finding.figures["fall_nats"] == pytest.approx(1.5, abs=0.01)


def test_a_bound_that_still_rises() -> None:
    finding = only(doctor(healthy(history=[line(epoch, -80 + 2.0 * epoch) for epoch in range(1, 11)])))
    assert finding.name == "still-improving" and finding.figures == {"gain_nats": 4.0, "epochs": 2}
    assert "train.epochs=20" in finding.fix
    assert not len(doctor(healthy(history=[line(epoch, -80 + 0.1 * epoch) for epoch in range(1, 11)])))


def test_a_run_without_validation() -> None:
    finding = only(doctor(healthy(history=[line(epoch, None, -20.0) for epoch in (1, 2)])))
    assert finding.name == "not-validated"


def test_posterior_collapse() -> None:
    run = healthy(likelihood={"name": "gaussian", "scale": "shared"})
    head(run).weight.zero_()
    head(run).bias.zero_()
    finding = only(doctor(run))
    assert finding.name == "posterior-collapse" and finding.figures["kl_nats"] == pytest.approx(0, abs=1e-6)
    assert "warmup" in finding.fix


def test_inactive_dimensions() -> None:
    run = binary(-1.4)
    head(run).weight[[0, 1, 3, 4]] = 0.0
    finding = only(doctor(run))
    assert finding.name == "inactive-dimensions" and finding.figures == {"inactive": 2, "dimensions": 3}


def test_a_code_at_the_end_of_its_range() -> None:
    run = healthy(likelihood={"name": "gaussian", "scale": "shared"})
    head(run).bias[3:] = -40.0
    finding = only(doctor(run))
    assert finding.name == "latent-scale-at-bound" and finding.figures["share"] == 1.0


def test_saturated_outputs() -> None:
    finding = only(doctor(binary(-12.0)))
    assert finding.name == "saturated-outputs" and finding.figures["share"] == pytest.approx(0.2, abs=0.05)


def test_weights_that_are_not_finite() -> None:
    run = healthy()
    run.model.likelihood.head.layer.bias[2] = math.nan  # type: ignore[index, union-attr]
    findings = {finding.name: finding for finding in doctor(run)}
    assert findings["not-finite"].figures["weights"] == 1 and findings["not-finite"].severity == "problem"


@pytest.mark.parametrize(("beta", "severity"), [(4.0, "warning"), (1.5, "note"), (0.0, "warning")])
def test_another_beta_than_one(beta: float, severity: str) -> None:
    log = [entry | {"beta": beta} for entry in settling()]
    run = healthy(objective={"beta": beta}, history=log, spec=DataSpec((D,), None, (0.0,) * D, (1.0,) * D))
    finding = only(doctor(run))
    assert (finding.name, finding.severity, dict(finding.figures)) == ("beta", severity, {"beta": beta})
    assert f"σ = {0.5 * math.sqrt(beta):.3g} instead of 0.5 in the data's units" in finding.why


def test_free_bits_that_cover_the_whole_kl() -> None:
    finding = only(doctor(healthy(objective={"free_bits": 500.0})))
    assert finding.name == "free-bits" and finding.figures["free_nats"] == 500.0
    finding = only(doctor(healthy(objective={"free_bits_per_dimension": 100.0})))
    assert finding.name == "free-bits" and "3 dimensions" in finding.what
    assert not len(doctor(healthy(objective={"free_bits": 0.5})))


@pytest.mark.parametrize("factor", [0.2, 6.0])
def test_a_fixed_sigma_that_is_not_the_size_of_the_errors(factor: float) -> None:
    run = healthy(likelihood={"name": "gaussian", "scale": "fixed", "sigma": 0.5 * factor})
    finding = only(doctor(run))
    assert finding.name == "fixed-sigma"
    assert finding.figures["error"] == pytest.approx(0.5, rel=0.3)
    assert finding.figures["effective_beta"] == pytest.approx(factor**2, rel=0.5)


def spoiled(value: float) -> torch.Tensor:
    x = rows()
    x[3, 2] = value
    return x


def test_data_outside_the_domain_of_continuous_data() -> None:
    finding = only(doctor(healthy(x=spoiled(60.0), likelihood={"name": "gaussian", "scale": "shared"})))
    assert finding.name == "data-outside-domain" and finding.figures["standard_deviations"] == pytest.approx(60)
    findings = [finding.name for finding in doctor(healthy(x=spoiled(math.nan)))]
    assert "data-outside-domain" in findings and "not-finite" in findings


def test_data_outside_the_levels() -> None:
    x = (torch.rand(300, D, generator=torch.Generator().manual_seed(2)) < 0.2).to(torch.uint8)
    x[:3, 0] = 7
    findings = {finding.name: finding for finding in doctor(binary(-1.4, x))}
    assert findings["data-outside-domain"].figures == {"outside": pytest.approx(3 / x.numel())}


def test_levels_that_are_not_used_and_grey_that_is_thresholded() -> None:
    x = (torch.rand(200, D) < 0.5).to(torch.uint8)
    run = healthy(x=x, spec=DataSpec((D,), levels=256), likelihood={"name": "logistic"})
    names = {finding.name: finding for finding in doctor(run)}
    assert names["data-outside-domain"].figures == {"distinct": 2}
    grey = torch.arange(200 * D).reshape(200, D).remainder(256).to(torch.uint8)
    params = {"name": "bernoulli", "binarization": "threshold"}
    run = healthy(x=grey, spec=DataSpec((D,), levels=256), likelihood=params)
    finding = {finding.name: finding for finding in doctor(run)}["data-outside-domain"]
    assert finding.severity == "note" and finding.figures["grey"] > 0.9


def test_data_that_does_not_fit_is_a_finding_and_not_an_error() -> None:
    found = doctor(healthy(), data=np.zeros((4, D + 1), dtype=np.float32))
    finding = only(found)
    assert finding.name == "data-outside-domain" and finding.severity == "problem" and found.left_out


def test_data_that_is_gone_leaves_the_log() -> None:
    run = healthy(in_memory=True, reason="interrupted")
    run.dataset = None
    found = doctor(run)
    assert {finding.name for finding in found} == {"no-data", "unfinished"} and len(found.left_out) == 6


def test_the_gravest_comes_first_and_all_is_plain_data() -> None:
    run = healthy(objective={"beta": 1.5}, skipped=50, reason="interrupted")
    found = doctor(run)
    assert [finding.severity for finding in found] == sorted(
        (finding.severity for finding in found), key=["problem", "warning", "note"].index
    )
    values = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert values["findings"][0]["name"] == "skipped-steps" and "fix" in str(next(iter(found)))


def test_wrong_requests_are_refused() -> None:
    with pytest.raises(ConfigError, match="expected"):
        doctor(healthy(), n=0)


def test_no_more_rows_are_read_than_asked_for() -> None:
    seen: list[tuple[int, int]] = []
    doctor(healthy(), n=17, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1] == (17, 17)
    assert SPEC.dimensions == D
