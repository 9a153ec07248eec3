"""Searches: the recipe first, failures recorded, budgets kept, studies that go on, several processes on one of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

import vaekit
from vaekit import recipes
from vaekit.errors import ConfigError, RunError
from vaekit.report.study import study_report
from vaekit.tasks.space import Range, own_values, read_space, standard_space, widened
from vaekit.tasks.tune import Tuned, tune

QUICK = (
    "data.limit=200",
    "model.encoder.hidden=[16]",
    "model.decoder.hidden=[16]",
    "model.latent=4",
    "train.epochs=4",
    "train.precision=float32",
    "train.device=cpu",
)
SPACE = {"train.lr": {"float": [1e-4, 1e-2], "log": True}, "model.latent": {"int": [2, 6]}, "width": {"int": [8, 24]}}


def search(out: Path, **more: Any) -> Tuned:
    """A quick search."""
    settings: dict[str, Any] = {"trials": 6, "space": SPACE, "overrides": QUICK, "out": out} | more
    return tune("digits", **settings)


def highest(run: vaekit.Run) -> float:
    """The best held-out bound of a run's training."""
    return max(line["validation"]["elbo_nats"] for line in run.history if line["validation"])


def test_the_recipe_is_the_first_trial_and_the_best_is_never_worse(tmp_path: Path) -> None:
    heard = []
    found = search(
        tmp_path / "s", heard=lambda trial, best: heard.append((trial.number, best.number if best else None))
    )
    assert found.recipe is not None and found.recipe.number == 0 and found.recipe.value is not None
    assert found.recipe.params == {"train.lr": 0.002, "model.latent": 4, "width": 16}
    assert found.best.value is not None and found.best.value >= found.recipe.value
    assert found.best.value == max(trial.value for trial in found.trials if trial.value is not None)
    assert [number for number, _ in heard] == list(range(6)) and heard[-1][1] == found.best.number
    assert all(2 <= trial.params["model.latent"] <= 6 and 8 <= trial.params["width"] <= 24 for trial in found.trials)


def test_the_best_configuration_and_its_run_are_there(tmp_path: Path) -> None:
    found = search(tmp_path / "s")
    assert found.run is not None and [place.name for place in (tmp_path / "s" / "trials").iterdir()] == [found.run.name]
    run, config = vaekit.load(found.run), recipes.resolve(found.config)
    assert config.model.latent == (found.best.params["model.latent"],)
    assert list(config.model.encoder.params["hidden"]) == [found.best.params["width"]]
    best = highest(run)
    assert best == pytest.approx(found.best.value)
    again = vaekit.train(found.config, out=tmp_path / "again")
    assert highest(again) == pytest.approx(best, rel=1e-6)


def test_a_study_goes_on(tmp_path: Path) -> None:
    first = search(tmp_path / "s", trials=3)
    second = search(tmp_path / "s", trials=5)
    assert len(second.trials) == 5 and second.trials[:3] == first.trials
    assert len(search(tmp_path / "s", trials=5).trials) == 5, "nothing is left to do"
    with pytest.raises(ConfigError, match="another space"):
        search(tmp_path / "s", space={"train.lr": {"float": [1e-4, 1e-3]}})
    with pytest.raises(ConfigError, match="another recipe"):
        search(tmp_path / "s", overrides=[*QUICK, "train.epochs=5"])


def test_the_same_seed_finds_the_same(tmp_path: Path) -> None:
    """What is stopped depends on how far a trial is, and not on when the clock is looked at (without a budget of time)."""
    untimed = (*QUICK, "train.time=null")
    searches = [search(tmp_path / name, trials=12, seed=3, overrides=untimed) for name in ("a", "b")]
    first, second = ([(one.state, one.value, one.params) for one in found.trials] for found in searches)
    assert first == second
    assert "pruned" in {state for state, *_ in first}


def test_trials_that_fail_do_not_stop_the_study(tmp_path: Path) -> None:
    space = {"train.lr": {"choice": [1e-3, 1e30]}}
    found = search(tmp_path / "s", space=space, trials=8, sampler="random", overrides=[*QUICK, "train.max_skipped=0"])
    failed = [trial for trial in found.trials if trial.state == "failed"]
    assert failed and all(trial.error and trial.params["train.lr"] == 1e30 for trial in failed)
    assert found.best.params["train.lr"] < 1


def test_only_failures_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="none of 2 trials was completed"):
        search(tmp_path / "s", trials=2, overrides=[*QUICK, "train.lr=1e30"], space={"model.latent": {"int": [2, 6]}})


def test_the_budget_is_kept(tmp_path: Path) -> None:
    begin = time.perf_counter()
    found = search(tmp_path / "s", trials=None, time="6s", overrides=[*QUICK, "train.epochs=100000"])
    assert time.perf_counter() - begin < 9.0
    assert found.trials[0].state == "complete", "a trial that would go on for ever ends with the budget"


def test_other_figures_can_be_searched_for(tmp_path: Path) -> None:
    found = search(tmp_path / "s", trials=3, metric="bits_per_dim")
    values = [trial.value for trial in found.trials if trial.value is not None]
    assert not found.higher_is_better and found.best.value == min(values) and all(0 < value < 10 for value in values)


def test_a_database_is_a_storage_too(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'study.db'}"
    assert len(search(tmp_path / "s", trials=2, storage=url).trials) == 2
    assert (tmp_path / "study.db").is_file() and not (tmp_path / "s" / "journal.log").exists()
    with pytest.raises(ConfigError, match="storage"):
        search(tmp_path / "t", storage="nonsense")


PROCESS = """
import sys, vaekit
from test_tasks_tune import search
from pathlib import Path
search(Path(sys.argv[1]), trials=int(sys.argv[2]), seed=int(sys.argv[3]))
"""


def process(out: Path, trials: int, seed: int) -> subprocess.Popen[bytes]:
    """The same search in a process of its own."""
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen([sys.executable, "-c", PROCESS, str(out), str(trials), str(seed)], env=environment)


@pytest.mark.slow
def test_two_processes_share_a_study_and_one_may_be_killed(tmp_path: Path) -> None:
    out = tmp_path / "s"
    both = [process(out, 8, seed) for seed in (1, 2)]
    assert [one.wait(120) for one in both] == [0, 0]
    found = search(out, trials=8)
    assert len(found.trials) >= 8 and all(trial.state in ("complete", "pruned") for trial in found.trials)
    assert [trial.number for trial in found.trials] == list(range(len(found.trials)))
    before = len(found.trials)
    victim = process(out, before + 500, 3)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and (out / "journal.log").read_bytes().count(b"victim") == 0:
        if len(list((out / "trials").iterdir())) > 1:
            break
        time.sleep(0.05)
    victim.send_signal(signal.SIGKILL)
    victim.wait(30)
    after = search(out, trials=before)
    lost = [trial for trial in after.trials if trial.state == "failed"]
    assert len(lost) <= 1 and not [trial for trial in after.trials if trial.state == "running"]
    assert after.trials[:before] == found.trials


def test_the_page_of_a_study(tmp_path: Path) -> None:
    found = search(tmp_path / "s", trials=12)
    text = study_report(found).read_text(encoding="utf-8")
    for words in ("Best configuration", "History", "What mattered", "Field by field", "train.lr", "All trials"):
        assert words in text
    assert len(text) < 1_000_000 and "<script" not in text


# --- spaces ----------------------------------------------------------------------------------------------------------


def test_spaces_are_read_from_files_and_hold_the_recipes_own_values(tmp_path: Path) -> None:
    path = tmp_path / "space.yaml"
    path.write_text(
        "train.lr: {float: [1e-4, 1e-3], log: true}\nmodel.latent: {int: [2, 4]}\ntrain.batch_size: {choice: [8, 16]}\n"
    )
    config = recipes.resolve("digits")
    space = widened(read_space(path, config), config)
    assert space["train.lr"] == Range("float", 1e-4, 2e-3, log=True) and space["model.latent"].high == 10
    assert space["train.batch_size"].choices == (64, 8, 16)
    assert own_values(space, config) == {"train.lr": 2e-3, "model.latent": 10, "train.batch_size": 64}


@pytest.mark.parametrize("name", recipes.recipe_names())
def test_every_recipe_has_a_space(name: str) -> None:
    raw = recipes.read(name)
    more = ["data.path=x"] if raw.values["data"]["name"] in ("images", "array", "table") else []
    config = recipes.resolve(raw, more)
    space = standard_space(config)
    own = own_values(space, config)
    assert "train.lr" in space and all(
        value in space[key].with_value(value).choices or True for key, value in own.items()
    )
    for key, value in own.items():
        part = space[key]
        assert value in part.choices if part.kind == "choice" else part.low <= value <= part.high


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ({"train.lrr": {"float": [0.1, 0.2]}}, "train.lr"),
        ({"train.lr": {"float": [0.2, 0.1]}}, "lowest value first"),
        ({"train.lr": {"float": [0, 0.1], "log": True}}, "above 0"),
        ({"train.lr": [1, 2]}, "expected one of"),
        ({"model.latent": {"int": [1.5, 2]}}, "whole numbers"),
        ({"train.lr": {"choice": []}}, "expected a list"),
        ({}, "at least one field"),
    ],
)
def test_mistakes_in_a_space_are_named(written: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        read_space(written, recipes.resolve("digits"))


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--trials 50, or --time 20m"):
        tune("digits", out=tmp_path)
    with pytest.raises(ConfigError, match="elbo_nats"):
        tune("digits", trials=1, metric="elbo_nat", out=tmp_path)
    with pytest.raises(ConfigError, match="tpe or random"):
        tune("digits", trials=1, sampler="grid", out=tmp_path)  # type: ignore[arg-type]


def test_an_interruption_ends_the_search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in a trial is meant for the search, and the trial is not taken for a whole one."""
    from vaekit.tasks import tune as module

    def stopped(*args: Any, hooks: Any, **options: Any) -> Any:
        sent = []

        def stop(event: Any) -> None:
            if not sent:
                sent.append(os.kill(os.getpid(), signal.SIGINT))

        with pytest.warns(UserWarning, match="interrupted"):
            return vaekit.train(*args, hooks=[*hooks, stop], **options)

    search(tmp_path / "s", trials=1)
    monkeypatch.setattr(module, "train", stopped)
    for name in ("s", "t"):
        with pytest.raises(KeyboardInterrupt):
            search(tmp_path / name, trials=5)
    monkeypatch.undo()
    after = search(tmp_path / "s", trials=2)
    assert [trial.state for trial in after.trials] == ["complete", "failed"]
    anew = search(tmp_path / "t", trials=3)  # here it was the recipe's trial that was interrupted
    assert [(trial.state, trial.recipe) for trial in anew.trials[:2]] == [("failed", True), ("complete", True)]
    assert not anew.trials[2].recipe
    assert anew.recipe is not None and anew.recipe.number == 1


def test_a_space_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a YAML file of fields and ranges"):
        search(tmp_path / "s", space=tmp_path / "none.yaml")


def test_the_best_configuration_keeps_the_recipes_own_time(tmp_path: Path) -> None:
    found = search(tmp_path / "s", trials=2, time="60s")
    assert recipes.resolve(found.config).train.time == recipes.resolve("digits").train.time
    mine = search(tmp_path / "t", trials=2, time="60s", overrides=[*QUICK, "train.time=40s"])
    assert recipes.resolve(mine.config).train.time == "40s"
