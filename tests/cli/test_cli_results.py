"""What the commands that use a run print and write."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from command_line import invoke, refused, said
from PIL import Image

from vaekit.cli import files, measuring, screen


def done(*arguments: str | Path) -> str:
    """Run a command that must succeed; what it said."""
    result = invoke(*arguments)
    assert result.exit_code == 0, (said(result), result.exception)
    return said(result)


def size(path: Path) -> tuple[int, int]:
    """Width and height of a picture."""
    with Image.open(path) as picture:
        return picture.size


def table(path: Path) -> list[list[str]]:
    """A CSV file."""
    with path.open() as file:
        return list(csv.reader(file))


def arrays(path: Path) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float32]]]:
    """A NumPy archive."""
    with np.load(path) as archive:
        return dict(archive)


# --- figures ---------------------------------------------------------------------------------------------------------


def test_evaluation_is_a_table_with_errors(run: Path) -> None:
    shown = done("evaluate", run, "--samples", "8")
    for figure in ("ELBO", "importance-weighted", "bits/dim", "KL", "active units", "PSNR", "KL per dimension"):
        assert figure in shown
    assert "±" in shown and "from 8 samples" in shown


def test_evaluation_as_json_on_standard_output(run: Path) -> None:
    result = invoke("evaluate", run, "--samples", "8", "--limit", "5", "--json", "-")
    values = json.loads(result.stdout)
    for name in ("elbo_nats", "importance_weighted_nats", "bits_per_dim"):
        assert set(values[name]) == {"mean", "stderr", "n"} and values[name]["n"] == 5
    assert values["importance_weighted_nats"]["mean"] > values["elbo_nats"]["mean"]


def test_evaluation_as_json_in_a_file(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    done("evaluate", run, "--samples", "4", "--json", path)
    assert json.loads(path.read_text())["samples"] == 4
    refused(invoke("evaluate", run, "--samples", "4", "--json", path), "not overwritten", "--force")
    done("evaluate", run, "--samples", "2", "--json", path, "--force")
    assert json.loads(path.read_text())["samples"] == 2


def test_evaluation_of_other_data(run: Path, images: Path) -> None:
    assert "90 examples" in done("evaluate", run, "--samples", "2", "--data", images)


def test_every_figure_has_a_meaning(run: Path) -> None:
    from vaekit import run as runs
    from vaekit.tasks.evaluate import evaluate

    found = evaluate(runs.load(run), samples=2, limit=4)
    for name, value, _, meaning in measuring.figures(found):
        assert name and value and meaning and len(meaning) <= 30, (name, meaning)


# --- examples --------------------------------------------------------------------------------------------------------


def test_generate_says_what_pixels_are(run: Path, tmp_path: Path) -> None:
    assert "means of p(x | z)" in done("generate", run, "-n", "7")
    assert (run / "samples.png").exists()
    assert "samples of p(x | z)" in done("generate", run, "-n", "7", "--pixels", "sample", "-o", tmp_path / "a.png")
    assert size(tmp_path / "a.png")[0] > 12


def test_generate_arrays_can_be_trained_on(run: Path, tmp_path: Path) -> None:
    done("generate", run, "-n", "30", "-o", tmp_path / "new.npz", "--seed", "3")
    made = arrays(tmp_path / "new.npz")
    assert made["images"].shape == (30, 9, 12) and made["images"].dtype == np.uint8
    assert made["latents"].shape == (30, 3)
    assert "30 examples" in done("evaluate", run, "--samples", "2", "--data", tmp_path / "new.npz")


def test_generate_single_files(run: Path, tmp_path: Path) -> None:
    done("generate", run, "-n", "3", "-o", tmp_path / "new")
    assert [path.name for path in sorted((tmp_path / "new").iterdir())] == ["0000.png", "0001.png", "0002.png"]
    assert size(tmp_path / "new" / "0001.png") == (12, 9)
    refused(invoke("generate", run, "-o", tmp_path / "new"), "not overwritten")


def test_seed_decides(run: Path, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        done("generate", run, "-n", "5", "-o", tmp_path / f"{name}.npz", "--seed", seed)
    a, b, c = (arrays(tmp_path / f"{name}.npz")["latents"] for name in "abc")
    assert (a == b).all() and (a != c).any()


def test_rows_of_a_table(rows_run: Path, tmp_path: Path) -> None:
    done("generate", rows_run, "-n", "11")
    assert arrays(rows_run / "samples.npz")["x"].shape == (11, 5)
    done("generate", rows_run, "-n", "4", "-o", tmp_path / "new.csv")
    lines = table(tmp_path / "new.csv")
    assert len(lines) == 5 and len(lines[0]) == 5
    refused(invoke("generate", rows_run, "-o", tmp_path / "folder"), ".npz", ".csv")
    refused(invoke("traverse", rows_run, "--animate"), "--animate", "image")


def test_reconstruct_writes_picture_and_table(run: Path) -> None:
    done("reconstruct", run, "--all", "--samples", "2")
    assert size(run / "reconstructions.png")[0] > 100
    lines = table(run / "reconstructions.csv")
    assert len(lines) == 1 + 9 and {"id", "elbo_nats", "mse"} <= set(lines[0])


def test_embed_and_decode(run: Path, images: Path, tmp_path: Path) -> None:
    for suffix in ("csv", "npz"):
        latents = tmp_path / f"latents.{suffix}"
        assert f"vaekit decode {run} {latents}" in done("embed", run, "--data", images, "-o", latents)
        done("decode", run, latents, "-o", tmp_path / f"back-{suffix}.npz")
    a, b = (arrays(tmp_path / f"back-{suffix}.npz")["images"] for suffix in ("csv", "npz"))
    assert a.shape == (90, 9, 12) and (a == b).all()


def test_walks(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "walk.png"
    shown = done("interpolate", run, "--from", "0", "--to", "4", "--mode", "linear,slerp", "--animate", "-o", out)
    assert "linear and slerp" in shown
    with Image.open(out.with_suffix(".gif")) as moving:
        assert getattr(moving, "n_frames", 1) >= 24
    refused(invoke("traverse", run, "--animate", "-o", tmp_path / "walk.webp"), "walk.gif", "not overwritten")
    assert "3 dimensions" in done("traverse", run)
    assert (run / "traversal.png").exists()


# --- about runs ------------------------------------------------------------------------------------------------------


def test_show(run: Path) -> None:
    shown = done("show", run)
    for part in ("72 train, 9 held out, 9 test", "1×9×12", "latent 3", "logistic", "3 epochs", "held-out ELBO"):
        assert part in shown


def test_show_configuration_can_be_trained(run: Path, tmp_path: Path) -> None:
    result = invoke("show", run, "--config")
    (tmp_path / "again.yaml").write_text(result.stdout)
    done("train", tmp_path / "again.yaml", "--out", tmp_path / "again", "--set", "train.epochs=1", "-q")


def test_compare_runs(run: Path, rows_run: Path) -> None:
    done("evaluate", run, "--samples", "2")
    shown = done("compare", run, rows_run)
    for part in (
        run.name,
        rows_run.name,
        "held-out ELBO",
        "different data",
        "model.likelihood",
        f"evaluated since the last training: {rows_run}",
    ):
        assert part in shown, part


def test_many_runs_are_compared_in_several_tables(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    screen.out.cache_clear()
    try:
        result = invoke("compare", *[run] * 7)
    finally:
        screen.out.cache_clear()
    assert result.exit_code == 0
    assert max(len(line) for line in result.stdout.splitlines()) <= 80
    assert result.stdout.count("training time") == 3


def test_doctor_speaks_plainly(run: Path) -> None:
    shown = done("doctor", run)
    assert "looked at:" in shown


def test_doctor_as_json(run: Path) -> None:
    values = json.loads(invoke("doctor", run, "--json", "-").stdout)
    assert {"findings", "looked_at"} <= set(values)


def test_cite(run: Path, tmp_path: Path) -> None:
    assert "@inproceedings{kingma2014" in done("cite", run)
    done("cite", run, "-o", tmp_path / "methods.bib")
    assert "kingma2014" in (tmp_path / "methods.bib").read_text()


def test_report_prints_its_path(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    path = tmp_path / "report.html"
    assert done("report", run, "-o", path).split()[-1] == str(path)
    assert path.read_text().lstrip().lower().startswith("<!doctype html")


def test_init_never_overwrites(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "vaekit train mnist.yaml" in done("init", "mnist")
    (tmp_path / "mnist.yaml").write_text("mine")
    refused(invoke("init", "mnist"), "not overwritten")
    assert (tmp_path / "mnist.yaml").read_text() == "mine"
    done("init", "mnist", "--force")
    assert (tmp_path / "mnist.yaml").read_text().startswith("# MNIST")


# --- where results go ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "form"), [("a.png", "picture"), ("a.WEBP", "picture"), ("a.npz", "npz"), ("a.csv", "csv"), ("a", "folder")]
)
def test_names_say_the_form(tmp_path: Path, name: str, form: str) -> None:
    assert files.target(str(tmp_path / name), tmp_path, False, list(files.FORMS)).form == form


def test_empty_folder_is_free(tmp_path: Path) -> None:
    (tmp_path / "v1.2").mkdir()
    assert files.target(str(tmp_path / "v1.2"), tmp_path, False, ["picture", "folder"]).form == "folder"
