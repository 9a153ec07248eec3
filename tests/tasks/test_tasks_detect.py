"""Detection on tables and images: scores, p-values, calibration, reasons, files in pieces."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as parquet
import pytest
import torch

import vaekit
from vaekit.errors import ConfigError, DataError, RunError
from vaekit.metrics.conformal import discoveries, p_values
from vaekit.run import Run
from vaekit.tasks import detect_file as module
from vaekit.tasks.calibrate import FILE, OWN
from vaekit.tasks.detect_file import detect_file

COLUMNS = [f"sensor_{i}" for i in range(5)]
SMALL = (
    "train.steps=250",
    "train.lr_warmup=20",
    "model.latent=3",
    "model.encoder.hidden=[24]",
    "model.decoder.hidden=[24]",
    "train.device=cpu",
)


def plant(n: int, seed: int, abnormal: int = 0) -> pd.DataFrame:
    """Readings of five sensors that hang together; the last `abnormal` rows do not."""
    random = np.random.default_rng(seed)
    causes = random.normal(size=(n, 2))
    x = causes @ np.array([[1.0, 0.8, -0.5, 0.0, 0.3], [0.0, 0.4, 0.9, -1.0, 0.2]]) + 0.1 * random.normal(size=(n, 5))
    table = pd.DataFrame(x * [1, 10, 0.1, 5, 100] + [0, 50, 0, -3, 1000], columns=COLUMNS)
    table["state"] = "good"
    for row in range(n - abnormal, n):
        table.loc[row, COLUMNS[row % 5]] += 6 * [1, 10, 0.1, 5, 100][row % 5]
        table.loc[row, "state"] = "broken"
    return table


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on normal readings; rows of the class `broken` are in its test split."""
    folder = tmp_path_factory.mktemp("plant")
    plant(900, 0, 60).to_csv(folder / "plant.csv", index=False)
    overrides = [*SMALL, "data.label=state", "data.normal=good", "data.validation=200"]
    vaekit.train("table-anomaly", data=folder / "plant.csv", out=folder / "run", overrides=overrides)
    return folder / "run"


@pytest.fixture
def loaded(run: Path) -> Run:
    """That run in memory, without its directory."""
    made = vaekit.load(run)
    made.data()
    made.path = None
    return made


def test_broken_rows_are_found_and_told_apart(loaded: Run) -> None:
    found = vaekit.detect(loaded)
    assert found.auroc is not None and found.auroc > 0.97
    assert found.truth is not None and int(found.truth.sum()) == 60
    assert found.calibrated_on == OWN and found.calibration_rows == 200
    broken = found.verdicts.labels == found.classes.index("broken")
    assert bool((found.p_values[broken] <= 0.05).float().mean() > 0.85)
    assert found.ranking().average_precision > 0.9  # type: ignore[union-attr]


def test_p_values_are_those_of_the_score_and_the_calibration(loaded: Run) -> None:
    found = vaekit.detect(loaded, level=0.1)
    assert torch.equal(found.p_values, p_values(found.scores, found.calibration))
    assert torch.equal(found.abnormal, found.p_values <= 0.1)
    assert torch.equal(found.scores > found.threshold, found.abnormal)
    fdr = vaekit.detect(loaded, fdr=0.2)
    assert torch.equal(fdr.abnormal, discoveries(fdr.p_values, 0.2)) and fdr.count > 0


def test_new_normal_rows_have_uniform_p_values(loaded: Run) -> None:
    p = vaekit.detect(loaded, plant(3000, 7)).p_values
    for level in (0.05, 0.2, 0.5):
        assert (p <= level).double().mean().item() == pytest.approx(level, abs=0.06)


def test_the_wrong_column_is_the_first_reason(loaded: Run) -> None:
    table = plant(400, 3, 100)
    found = vaekit.detect(loaded, table.drop(columns="state"))
    planted = torch.arange(300, 400)
    reasons = found.reasons
    assert reasons is not None and bool((reasons.column[~found.abnormal] == -1).all())
    right = reasons.column[planted, 0] == planted % 5
    assert right.double().mean() >= 0.9
    value = torch.tensor(table[COLUMNS].to_numpy())[planted, planted % 5]
    torch.testing.assert_close(reasons.value[planted, 0][right].double(), value[right], rtol=1e-5, atol=1e-5)
    nearer = (reasons.expected[planted, 0][right] - value[right]).abs() > 0
    assert bool(nearer.all())
    assert bool((reasons.nats[planted, 0][right] > 0).all())


@pytest.mark.parametrize(
    "score", ["elbo", "reconstruction", "importance_weighted", "kl", "error", "latent_density", "exemplar", "regret"]
)
def test_every_score_is_finite_and_high_for_what_is_far_off(loaded: Run, score: str) -> None:
    far = plant(40, 5)
    far[COLUMNS] *= 4
    near = vaekit.detect(loaded, plant(80, 6), score=score, samples=2)
    found = vaekit.detect(loaded, far, score=score, samples=2)
    assert bool(torch.isfinite(found.scores).all())
    assert found.scores.median() > near.scores.median()
    assert found.score == score and found.words and found.unit in ("nats", "")


def test_sums_the_highest_and_the_default(loaded: Run) -> None:
    both = vaekit.detect(loaded, score="elbo+error")
    assert set(both.parts) == {"elbo", "error"} and both.unit == ""
    highest = vaekit.detect(loaded, score="elbo|error")
    assert bool((highest.scores <= both.scores + 10).all()) and highest.score == "elbo|error"
    assert vaekit.detect(loaded).score == "exemplar+error"


def test_an_ensemble_averages_its_runs(loaded: Run, tmp_path: Path) -> None:
    again = [*SMALL, "data.label=state", "data.normal=good", "data.validation=200", "train.seed=1"]
    other = vaekit.train("table-anomaly", data=loaded.config.data.params["path"], out=tmp_path / "b", overrides=again)
    single = [vaekit.detect(one, score="elbo").scores for one in (loaded, other)]
    torch.testing.assert_close(vaekit.detect([loaded, other], score="elbo").scores, (single[0] + single[1]) / 2)
    different = vaekit.train("digits", out=tmp_path / "c", overrides=["train.epochs=1", "data.limit=100"])
    with pytest.raises(ConfigError, match="same data"):
        vaekit.detect([loaded, different])
    with pytest.raises(ConfigError, match="at least one run"):
        vaekit.detect([])


def test_calibration_is_kept_and_replaced(run: Path, tmp_path: Path) -> None:
    loaded = vaekit.load(run)
    first = vaekit.detect(loaded, score="elbo")
    assert (run / FILE).is_file()
    made = vaekit.calibrate(loaded, plant(500, 11))
    assert len(made) == 500 and made.source == "data in hand"
    second = vaekit.detect(vaekit.load(run), score="elbo")
    assert torch.equal(first.scores, second.scores) and second.calibration_rows == 500
    with pytest.raises(DataError, match=r"vaekit calibrate .* --score regret"):
        vaekit.detect(loaded, score="regret")
    less = vaekit.calibrate(loaded, plant(500, 11), contamination=0.1)
    assert vaekit.detect(loaded, score="elbo").calibration_rows == 450 and len(less) == 500
    with pytest.raises(ConfigError, match="contamination"):
        vaekit.calibrate(loaded, contamination=0.5)
    (run / FILE).write_bytes(b"torn")
    with pytest.raises(RunError, match="not a readable checkpoint"):
        vaekit.detect(loaded)
    (run / FILE).unlink()


def test_rows_of_other_classes_do_not_calibrate(loaded: Run) -> None:
    assert len(vaekit.calibrate(loaded, plant(100, 4, 40))) == 60
    only = plant(20, 4, 20)
    with pytest.raises(DataError, match=r"normal rows \('good'\)"):
        vaekit.calibrate(loaded, only)


def test_few_rows_to_compare_with_are_said(loaded: Run) -> None:
    vaekit.calibrate(replace(loaded, path=None), plant(10, 4))
    loaded.path = None
    found = vaekit.detect(loaded, level=0.001)
    assert any("no p-value is below" in note for note in found.notes) and found.count == 0
    assert any("themselves" in note for note in vaekit.detect(loaded, split="validation").notes)


def test_gaps_are_scored_by_what_is_there(tmp_path: Path) -> None:
    table = plant(300, 0).drop(columns="state")
    table.loc[::7, "sensor_1"] = np.nan
    run = vaekit.train(
        "table-anomaly",
        data=table,
        out=tmp_path / "run",
        overrides=[*SMALL, "data.missing=observed", "data.name=table"],
    )
    rows = plant(30, 1).drop(columns="state")
    rows.loc[3, "sensor_1"] = np.nan
    rows.loc[4, "sensor_0"] += 50
    found = vaekit.detect(run, rows)
    assert bool(torch.isfinite(found.scores).all()) and found.most(1).tolist() == [4]
    with pytest.raises(DataError, match="sensor_2"):
        vaekit.detect(run, rows.drop(columns="sensor_2"))


def test_tables_of_verdicts(loaded: Run, tmp_path: Path) -> None:
    found = vaekit.detect(loaded)
    lines = list(csv.DictReader(found.save(tmp_path / "s.csv").read_text().splitlines()))
    assert len(lines) == found.n and lines[-1]["label"] == "broken"
    stored = parquet.read_table(found.save(tmp_path / "s.parquet")).to_pandas()
    assert list(stored["abnormal"]) == [int(line["abnormal"]) for line in lines]
    np.testing.assert_allclose(stored["score"], [float(line["score"]) for line in lines], rtol=1e-6)
    assert {"column_1", "value_1", "expected_1", "nats_3"} <= set(stored.columns)
    with pytest.raises(ConfigError, match=r"\.csv or \.parquet"):
        found.save(tmp_path / "s.txt")
    assert json.dumps(found.as_dict())


@pytest.mark.parametrize("bad", [{"level": 0.0}, {"fdr": 1.0}, {"score": "elbow"}, {"n": 0}, {"split": "tests"}])
def test_wrong_arguments_are_named(loaded: Run, bad: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        vaekit.detect(loaded, **bad)


# --- files in pieces -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_file_in_pieces_is_the_file_at_once(
    run: Path, tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE", 64)
    table, loaded = plant(230, 8, 30), vaekit.load(run)
    path = tmp_path / f"new{suffix}"
    table.to_csv(path, index=False) if suffix == ".csv" else table.to_parquet(path)
    made = detect_file(loaded, path, tmp_path / f"out{suffix}")
    whole = vaekit.detect(loaded, path)
    read = pd.read_csv if suffix == ".csv" else pd.read_parquet
    stored = read(tmp_path / f"out{suffix}")
    assert made.n == 230 == len(stored) and made.count == whole.count == int(stored["abnormal"].sum())
    np.testing.assert_allclose(stored["score"], whole.scores, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(stored["p_value"], whole.p_values)
    assert list(stored["label"]) == list(table["state"]) and list(stored["id"]) == list(range(230))
    assert not list(tmp_path.glob(".*"))
    assert whole.reasons is not None
    named = stored["column_1"].fillna("").tolist()
    assert named == ["" if code < 0 else COLUMNS[code] for code in whole.reasons.column[:, 0].tolist()]


def test_false_discoveries_are_controlled_over_all_pieces(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PIECE", 50)
    plant(400, 8, 120).to_csv(tmp_path / "new.csv", index=False)
    made = detect_file(vaekit.load(run), tmp_path / "new.csv", tmp_path / "out.csv", fdr=0.1)
    stored = pd.read_csv(tmp_path / "out.csv")
    rejected = discoveries(torch.tensor(stored["p_value"].to_numpy()), 0.1)
    assert stored["abnormal"].tolist() == rejected.int().tolist() and made.count == int(rejected.sum()) > 50


def test_a_stopped_detection_goes_on(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 40)
    plant(200, 8, 20).to_csv(tmp_path / "new.csv", index=False)
    loaded, out = vaekit.load(run), tmp_path / "out.csv"
    reference = detect_file(loaded, tmp_path / "new.csv", tmp_path / "reference.csv")
    assert reference.resumed_at == 0

    def stop(rows: int, share: float) -> None:
        if rows >= 120:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        detect_file(loaded, tmp_path / "new.csv", out, progress=stop)
    assert not out.exists(), "the table appears when it is whole"
    again = detect_file(loaded, tmp_path / "new.csv", out)
    assert again.resumed_at == 120 and out.read_bytes() == (tmp_path / "reference.csv").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        detect_file(loaded, tmp_path / "new.csv", tmp_path / "third.csv", progress=stop)
    other = detect_file(loaded, tmp_path / "new.csv", tmp_path / "third.csv", score="elbo")
    assert other.resumed_at == 0, "another score begins anew"


def test_a_bad_file_is_refused_in_words(run: Path, tmp_path: Path) -> None:
    loaded = vaekit.load(run)
    plant(20, 8).drop(columns="sensor_3").to_csv(tmp_path / "less.csv", index=False)
    with pytest.raises(DataError, match="sensor_3"):
        detect_file(loaded, tmp_path / "less.csv", tmp_path / "out.csv")
    table = plant(20, 8)
    table["sensor_2"] = table["sensor_2"].astype(object)
    table.loc[13, "sensor_2"] = "high"
    table.to_csv(tmp_path / "text.csv", index=False)
    with pytest.raises(DataError, match=r"sensor_2.*high"):
        detect_file(loaded, tmp_path / "text.csv", tmp_path / "out.csv")
    with pytest.raises(DataError, match="nothing"):
        detect_file(loaded, tmp_path / "none.csv", tmp_path / "out.csv")
    plant(20, 8).to_csv(tmp_path / "fine.csv", index=False)
    blocked = tmp_path / "file"
    blocked.write_text("")
    with pytest.raises(RunError, match="cannot be written"):
        detect_file(loaded, tmp_path / "fine.csv", blocked / "out.csv")
    assert not (tmp_path / "out.csv").exists()


# --- images ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run on smooth images of 12 × 10 pixels."""
    made: Run = vaekit.train(
        "image-anomaly",
        data=smooth(300, 0),
        out=tmp_path_factory.mktemp("runs") / "blobs",
        overrides=[
            "model.encoder.hidden=[32]",
            "model.decoder.hidden=[32]",
            "train.epochs=80",
            "train.batch_size=32",
            "train.device=cpu",
        ],
    )
    return made


def smooth(n: int, seed: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Soft spots of light."""
    random = np.random.default_rng(seed)
    i, j = np.mgrid[:12, :10]
    where = random.uniform([3, 3], [8, 6], size=(n, 2))
    far = (i - where[:, :1, None]) ** 2 + (j - where[:, 1:, None]) ** 2
    return (220 * np.exp(-far / 10)).astype(np.uint8)


def test_defects_of_images_are_found_and_shown(blobs: Run) -> None:
    x = smooth(120, 1)
    x[100:, 1:5, 2:6] = 255 - x[100:, 1:5, 2:6]
    assert vaekit.detect(blobs, x).score == "complexity|code_length|elbo"
    found = vaekit.detect(blobs, x, score="elbo")
    assert found.reasons is None
    assert set(found.most(20).tolist()) == set(range(100, 120))
    heat = vaekit.attribute(blobs, x, indices=range(100, 120)).nats
    top = heat.flatten(1).argmax(1)
    inside = (top // 10 >= 1) & (top // 10 < 5) & (top % 10 >= 2) & (top % 10 < 6)
    assert inside.double().mean() >= 0.9


def test_scores_of_levels_are_refused_elsewhere(loaded: Run) -> None:
    with pytest.raises(DataError, match="images with levels"):
        vaekit.detect(loaded, score="complexity")


def test_one_process_at_a_time_writes_a_table(run: Path, tmp_path: Path) -> None:
    """The one that is refused leaves the other's pieces alone."""
    plant(60, 8).to_csv(tmp_path / "new.csv", index=False)
    loaded = vaekit.load(run)
    met = []

    def meanwhile(rows: int, share: float) -> None:
        with pytest.raises(RunError, match="by another process"):
            detect_file(loaded, tmp_path / "new.csv", tmp_path / "out.csv", score="elbo")
        met.append(rows)

    made = detect_file(loaded, tmp_path / "new.csv", tmp_path / "out.csv", progress=meanwhile)
    assert met == [60] and made.n == 60 == len(pd.read_csv(tmp_path / "out.csv")) and not list(tmp_path.glob(".*"))
