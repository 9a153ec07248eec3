"""Evaluation: what it says, that it is kept, and that a part never has the name of the whole."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

import vaekit
from vaekit.errors import ConfigError, DataError, RunError
from vaekit.metrics import Estimate
from vaekit.run import Run
from vaekit.tasks import evaluate as module
from vaekit.tasks.compare import compare
from vaekit.tasks.evaluate import Evaluation, evaluate, kept, units

ESTIMATES = (
    "elbo_nats",
    "importance_weighted_nats",
    "bits_per_dim",
    "elbo_bits_per_dim",
    "log_likelihood_nats",
    "kl_nats",
    "psnr_db",
)


def test_figures_hang_together(run: Run) -> None:
    found = evaluate(run, samples=8)
    n = len(run.rows("test"))
    assert found.n == n == found.elbo_nats.n and found.samples == 8 and found.dataset == run.data().name
    assert found.importance_weighted_nats.mean > found.elbo_nats.mean
    assert found.elbo_nats.mean == pytest.approx(found.log_likelihood_nats.mean - found.kl_nats.mean, rel=1e-5)
    per_dimension = 1 / (run.spec.dimensions * math.log(2))
    assert found.bits_per_dim.mean == pytest.approx(-found.importance_weighted_nats.mean * per_dimension)
    assert found.bits_per_dim.stderr == pytest.approx(found.importance_weighted_nats.stderr * per_dimension)
    assert len(found.kl_per_dimension) == 5 and sum(found.kl_per_dimension) == pytest.approx(
        found.kl_nats.mean, rel=1e-4
    )
    assert found.kl_per_group["z"].mean == pytest.approx(found.kl_nats.mean)
    assert 1 <= found.effective_samples.mean <= 8 and 0 <= found.active_units <= 5
    assert found.psnr_db is not None and found.ssim is None and any("SSIM" in note for note in found.notes)
    assert "17 levels" in found.units


def test_the_json_has_the_promised_keys_and_comes_back(run: Run) -> None:
    found = evaluate(run, samples=2, limit=9)
    values = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    for name in ESTIMATES:
        assert set(values[name]) == {"mean", "stderr", "n"} and values[name]["n"] == 9
    assert values["ms_ssim"] is None and isinstance(values["kl_per_dimension"], list) and values["split"] == "test"
    assert Evaluation.from_dict(values).as_dict() == found.as_dict()
    assert "elbo_nats" in str(found)


def test_a_single_example_has_no_error_bar(run: Run) -> None:
    values = evaluate(run, samples=2, limit=1).as_dict()
    assert values["elbo_nats"]["stderr"] is None and values["elbo_nats"]["n"] == 1


def test_a_part_never_has_the_name_of_the_whole(run: Run) -> None:
    total = len(run.rows("test"))
    assert evaluate(run, samples=1, limit=7).dataset == f"{run.data().name} (7 of {total})"
    assert evaluate(run, samples=1, limit=total + 5).dataset == run.data().name
    x = np.zeros((4, 1, 8, 8), dtype=np.uint8)
    in_hand = evaluate(run, samples=1, data=x)
    assert in_hand.dataset == "data in hand" and in_hand.split == "" and in_hand.n == 4


def test_a_seed_says_it_all_and_another_split_is_another_figure(run: Run) -> None:
    first, again, other = (evaluate(run, samples=4, limit=20, seed=seed) for seed in (1, 1, 2))
    assert first.elbo_nats == again.elbo_nats and first.elbo_nats != other.elbo_nats
    assert abs(first.elbo_nats.mean - other.elbo_nats.mean) < 4
    assert evaluate(run, "validation", 4).n == len(run.rows("validation"))


def test_evaluations_are_kept_and_the_fuller_one_stays(directory: Path) -> None:
    run = vaekit.load(directory)
    part = evaluate(run, samples=2, limit=5)
    assert kept(directory) == part
    whole = evaluate(run, samples=2)
    assert kept(directory) == whole and json.loads((directory / "evaluation-test.json").read_text())["n"] == whole.n
    evaluate(run, samples=2, limit=5)
    assert kept(directory) == whole
    evaluate(run, samples=2, data=run.rows("validation"))
    assert kept(directory) == whole and kept(directory, "validation") is None


def test_other_weights_replace_a_fuller_evaluation(directory: Path) -> None:
    from dataclasses import replace

    run = vaekit.load(directory)
    evaluate(run, samples=2)
    run.info = replace(run.info, steps=run.info.steps + 10)
    part = evaluate(run, samples=2, limit=5)
    assert kept(directory) == part


def test_a_folder_that_cannot_be_written_loses_no_figures(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = vaekit.load(directory)

    def full(*args: object) -> None:
        raise RunError("x: cannot be written (No space left on device); what was saved")

    monkeypatch.setattr("vaekit.tasks.records.write_atomically", full)
    with pytest.raises(RunError, match=r"No space left(?s:.*)elbo_nats +-"):
        evaluate(run, samples=2, limit=5)
    assert kept(directory) is None


def test_a_kept_evaluation_that_is_broken_counts_as_none(directory: Path) -> None:
    (directory / "evaluation-test.json").write_text('{"n": 3')
    assert kept(directory) is None
    (directory / "evaluation-test.json").write_text('{"n": 3}')
    assert kept(directory) is None


@pytest.mark.parametrize("wrong", [{"samples": 0}, {"limit": -1}, {"split": "tset"}, {"limit": 2.5}, {"samples": True}])
def test_wrong_requests_are_refused(run: Run, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        evaluate(run, **{"samples": 2, **wrong})  # type: ignore[arg-type]


def test_data_that_does_not_fit_is_refused(run: Run) -> None:
    with pytest.raises(DataError, match=r"8, 8"):
        evaluate(run, samples=2, data=np.zeros((3, 1, 9, 8), dtype=np.uint8))
    with pytest.raises(DataError):
        evaluate(run, samples=2, data=np.zeros((0, 1, 8, 8), dtype=np.uint8))


def test_units_say_what_figures_are_about(run: Run) -> None:
    from dataclasses import replace

    def with_likelihood(name: str, **params: object) -> str:
        part = replace(run.config.model.likelihood, name=name, params=params)
        config = replace(run.config, model=replace(run.config.model, likelihood=part))
        return units(replace(run, config=config))

    assert "binarized" in with_likelihood("bernoulli", binarization="dynamic")
    assert "0.3" in with_likelihood("bernoulli", binarization="threshold", threshold=0.3)
    assert "not log-probabilities" in with_likelihood("bernoulli", binarization="expected")
    assert "not comparable" in with_likelihood("gaussian", dequantize=False)
    assert "log-probabilities of the data itself" in with_likelihood("gaussian", dequantize=None)
    spec = replace(run.spec, levels=None)
    assert "any sign" in units(replace(run, info=replace(run.info, spec=spec)))
    assert module.as_estimate({"mean": None, "stderr": None, "n": 3}).n == 3


def test_runs_are_compared_by_what_is_kept(directory: Path, run: Run) -> None:
    evaluate(vaekit.load(directory), samples=2)
    other = vaekit.load(directory)
    other.path = None
    found = compare([directory, other])
    assert [entry.evaluation is None for entry in found.runs] == [False, True]
    assert any("not evaluated" in remark for remark in found.remarks)
    first, second = found.table()
    assert (
        list(first) == list(second) and isinstance(first["bits_per_dim"], Estimate) and second["bits_per_dim"] is None
    )
    assert found.runs[0].validation is not None and found.runs[0].epochs == 8
    json.dumps(found.as_dict(), allow_nan=False)


def test_comparison_names_what_differs(directory: Path, run: Run) -> None:
    from dataclasses import replace

    plan = replace(run.config.train, lr=0.5)
    other = replace(run, config=replace(run.config, train=plan), info=replace(run.info, fingerprint="another"))
    found = compare([run, other])
    assert found.runs[0].settings == {"train.lr": run.config.train.lr} and found.runs[1].settings == {"train.lr": 0.5}
    assert any("different data" in remark for remark in found.remarks)
    with pytest.raises(ConfigError):
        compare([])
    with pytest.raises(RunError):
        compare([directory / "nothing"])
