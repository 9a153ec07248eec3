"""`vaekit detect` and `calibrate`: what is written and said, and wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from command_line import invoke, refused, said

SMALL = (
    "model.latent=2",
    "model.encoder.hidden=[16]",
    "model.decoder.hidden=[16]",
    "train.steps=120",
    "train.device=cpu",
)


def readings(n: int, seed: int, broken: int = 0) -> pd.DataFrame:
    """Four columns that are nearly one; in the last rows one of them is not."""
    random = np.random.default_rng(seed)
    table = pd.DataFrame(random.normal(size=(n, 1)) + 0.1 * random.normal(size=(n, 4)), columns=list("abcd"))
    table["state"] = "good"
    for row in range(n - broken, n):
        table.loc[row, "abcd"[row % 4]] += 8
        table.loc[row, "state"] = "broken"
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run and new data."""
    path = tmp_path_factory.mktemp("detect")
    readings(400, 0, 20).to_csv(path / "all.csv", index=False)
    readings(120, 1, 20).to_csv(path / "new.csv", index=False)
    settings = [part for value in (*SMALL, "data.label=state", "data.normal=good") for part in ("--set", value)]
    made = invoke("train", "table-anomaly", "--data", path / "all.csv", "--out", path / "run", *settings, "--quiet")
    assert made.exit_code == 0, said(made)
    return path


def test_new_rows_become_a_table_of_verdicts(folder: Path, tmp_path: Path) -> None:
    made = invoke("detect", folder / "run", "--data", folder / "new.csv", "-o", tmp_path / "s.csv")
    assert made.exit_code == 0, (said(made), made.exception)
    stored = pd.read_csv(tmp_path / "s.csv")
    assert len(stored) == 120 and stored["p_value"].tail(20).median() < 0.1 < stored["p_value"].head(100).median()
    assert f"{stored['abnormal'].sum()} of 120 rows of new.csv abnormal, by the score exemplar+error" in said(
        made
    ) and "AUROC" in said(made)
    assert "validation split" in said(made) and str(tmp_path / "s.csv") in said(made)
    assert "because" in said(made) and "expected" in said(made), "the most abnormal rows are listed"
    refused(invoke("detect", folder / "run", "--data", folder / "new.csv", "-o", tmp_path / "s.csv"), "--force")
    bare = invoke("detect", folder / "run", "--data", folder / "new.csv", "-o", tmp_path / "t.csv", "--reasons", "0")
    assert bare.exit_code == 0 and "column_1" not in pd.read_csv(tmp_path / "t.csv").columns


def test_the_runs_own_test_split_is_shown_with_reasons(folder: Path) -> None:
    made = invoke("detect", folder / "run")
    assert made.exit_code == 0 and "AUROC" in said(made) and "expected" in said(made)
    assert (folder / "run" / "scores.csv").is_file()


def test_json_stands_alone_on_standard_output(folder: Path, tmp_path: Path) -> None:
    for arguments in (["--limit", "30"], ["--data", str(folder / "new.csv")]):
        made = invoke("detect", folder / "run", *arguments, "--json", "-", "-o", tmp_path / "j.csv", "--force")
        assert made.exit_code == 0 and json.loads(made.stdout)["score"] == "exemplar+error"


def test_false_discoveries_and_levels(folder: Path, tmp_path: Path) -> None:
    found = invoke("detect", folder / "run", "--data", folder / "new.csv", "--fdr", "0.2", "-o", tmp_path / "f.parquet")
    assert found.exit_code == 0 and "false discovery rate of 0.2" in said(found)
    few = invoke("detect", folder / "run", "--data", folder / "new.csv", "--fdr", "0.01", "-o", tmp_path / "g.csv")
    assert "vaekit calibrate" in said(few), "too few normal rows for so low a rate"
    refused(invoke("detect", folder / "run", "--fdr", "0.1", "--level", "0.1"), "got both")
    refused(invoke("detect", folder / "run", "--fdr", "7"), "between 0 and 1")


def test_calibrate(folder: Path, tmp_path: Path) -> None:
    readings(250, 5).to_csv(tmp_path / "normal.csv", index=False)
    made = invoke("calibrate", folder / "run", "--data", tmp_path / "normal.csv")
    assert made.exit_code == 0 and "250 normal rows of normal.csv" in said(made) and "0.004" in said(made)
    after = invoke("detect", folder / "run", "--data", folder / "new.csv", "-o", tmp_path / "s.csv")
    assert "compared with 250 normal rows: normal.csv" in said(after)
    refused(invoke("calibrate", folder / "run", "--contamination", "0.7"), "contamination")
    (folder / "run" / "calibration.safetensors").unlink()


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        (lambda table: table.drop(columns="b"), ["'b'"]),
        (lambda table: table.assign(c="high"), ["c", "high"]),
        (lambda table: table.assign(d=np.inf), ["d", "infin"]),
        (lambda table: table.assign(a=np.where(np.arange(len(table)) == 3, np.nan, 0.0)), ["a", "missing"]),
        (lambda table: table.head(0), ["header"]),
    ],
    ids=["a column is missing", "text", "infinity", "a gap", "no rows"],
)
def test_bad_tables_are_refused_in_words(folder: Path, tmp_path: Path, change, parts: list[str]) -> None:  # type: ignore[no-untyped-def]
    change(readings(20, 2)).to_csv(tmp_path / "bad.csv", index=False)
    refused(invoke("detect", folder / "run", "--data", tmp_path / "bad.csv", "-o", tmp_path / "s.csv"), *parts)
    assert not (tmp_path / "s.csv").exists()


def test_one_row_is_enough(folder: Path, tmp_path: Path) -> None:
    readings(1, 2).to_csv(tmp_path / "one.csv", index=False)
    made = invoke("detect", folder / "run", "--data", tmp_path / "one.csv", "-o", tmp_path / "s.csv")
    assert made.exit_code == 0 and "of 1 row of one.csv" in said(made)


def test_other_mistakes(folder: Path, tmp_path: Path) -> None:
    refused(invoke("detect", folder / "run", "--score", "elbow"), "elbow", "elbo")
    refused(invoke("detect", folder / "run", "--score", "complexity"), "images")
    refused(invoke("detect", folder / "run", "-o", tmp_path / "s.png"), ".csv", ".parquet")
    refused(invoke("detect", tmp_path / "none"), "no such run")


def test_images_come_with_a_picture(run: Path, images: Path, tmp_path: Path) -> None:
    made = invoke("detect", run, "--data", images, "--score", "elbo", "-o", tmp_path / "s.csv")
    assert made.exit_code == 0, (said(made), made.exception)
    assert (tmp_path / "s.png").is_file() and "most abnormal" in said(made)
    (tmp_path / "s.csv").unlink()
    refused(invoke("detect", run, "--data", images, "-o", tmp_path / "s.csv"), "s.png", "--force")
