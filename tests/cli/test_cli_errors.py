"""Bad input: one clear message, exit code 2, no traceback, nothing lost."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from command_line import invoke, refused, said, settings, trained
from PIL import Image

from vaekit.cli import base, making, training
from vaekit.errors import MissingExtraError


def train(*arguments: str | Path) -> object:
    return invoke("train", *arguments)


# --- configuration ---------------------------------------------------------------------------------------------------


def test_unknown_recipe() -> None:
    refused(invoke("train", "dgits"), "unknown recipe 'dgits'", "did you mean 'digits'")


def test_nothing_to_train() -> None:
    refused(invoke("train"), "train what?", "vaekit train digits")


def test_missing_file() -> None:
    refused(invoke("train", "nowhere.yaml"), "nowhere.yaml", "no such file")


def test_all_mistakes_of_a_file_at_once(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    assert invoke("init", "digits", "-o", path).exit_code == 0
    text = path.read_text().replace("hidden:", "hiden:", 1).replace("batch_size: 64", "batch_size: -3")
    path.write_text(text.replace("likelihood: logistic", "likelihood: logistics"))
    line = 1 + next(number for number, line in enumerate(path.read_text().splitlines()) if "hiden" in line)
    refused(
        invoke("train", path), f"mine.yaml:{line}", "did you mean 'hidden'", "batch_size", "did you mean 'logistic'"
    )


def test_broken_yaml(tmp_path: Path) -> None:
    (tmp_path / "broken.yaml").write_text("data: [1, 2\nmodel: {")
    refused(invoke("train", tmp_path / "broken.yaml"), "broken.yaml:", "not valid YAML")


@pytest.mark.parametrize(
    ("setting", "parts"),
    [
        ("train.lr=fast", ["train.lr", "fast"]),
        ("train.lr=-1", ["train.lr", "greater than 0"]),
        ("train.btch_size=3", ["did you mean 'batch_size'"]),
        ("model.prior=standrad", ["did you mean 'standard'"]),
        ("trian.lr=1", ["did you mean 'train'"]),
        ("train.lr", ["expected key=value"]),
        ("train.optimizer=Adm", ["did you mean 'Adam'"]),
        ("train.device=tpu", ["train.device", "tpu"]),
        ("train.device=meta", ["train.device", "meta"]),
        ("train.time=soon", ["train.time", "soon"]),
        ("model.encoder=no_such_lab.nets:Mine", ["no_such_lab", "PYTHONPATH"]),
    ],
)
def test_wrong_settings(tmp_path: Path, setting: str, parts: list[str]) -> None:
    out = tmp_path / "run"
    refused(invoke("train", "digits", "--out", out, "--set", setting), *parts)
    assert not out.exists()


def test_data_in_the_place_of_a_recipe(tmp_path: Path, table: Path, run: Path) -> None:
    refused(invoke("train", tmp_path), f"vaekit train images --data {tmp_path}")
    refused(invoke("train", table), f"vaekit train array --data {table}")
    refused(invoke("train", run), f"--resume {run}", "config.yaml")


def test_a_failed_run_says_what_is_left(tmp_path: Path, images: Path) -> None:
    out = tmp_path / "failed"
    result = invoke(
        "train", "array", "--data", images, "--out", out,
        *settings("train.lr=1e30", "train.epochs=500", "train.max_skipped=2", "train.clip=null"),
    )  # fmt: skip
    refused(result, "non-finite", "train.lr", str(out))


def test_wrong_time(run: Path) -> None:
    refused(invoke("train", "digits", "--time", "soon"), "--time", "soon", "10m")
    refused(invoke("train", "--resume", run, "--time", "soon"), "--time", "soon", "10m")


def test_wrong_seed() -> None:
    assert invoke("train", "digits", "--seed", "-1").exit_code == 2


# --- data ------------------------------------------------------------------------------------------------------------


def test_recipe_without_its_data() -> None:
    refused(invoke("train", "images"), "path", "--data PATH")


@pytest.mark.parametrize("recipe", ["images", "array"])
def test_missing_data(recipe: str, tmp_path: Path) -> None:
    refused(invoke("train", recipe, "--data", tmp_path / "nowhere"), "nowhere")


def test_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    refused(invoke("train", "images", "--data", tmp_path / "empty"), "empty", "fix:")


def test_half_broken_folder(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(20):
        path = folder / f"{number:02}.png"
        if number % 2:
            path.write_bytes(b"not an image")
        else:
            Image.fromarray(np.full((9, 10), 10 * number, np.uint8)).save(path)
    refused(invoke("train", "images", "--data", folder), "10 of 20", "01.png")


def test_a_few_broken_files_do_not_stop_the_run(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(30):
        Image.fromarray(np.full((9, 10), 8 * number, np.uint8)).save(folder / f"{number:02}.png")
    (folder / "07.png").write_bytes(b"torn")
    result = invoke(
        "train", "images", "--data", folder, "--out", tmp_path / "run",
        *settings("train.epochs=1", "train.batch_size=4"),
    )  # fmt: skip
    assert result.exit_code == 0, said(result)
    assert "07.png" in result.stderr and "note:" in result.stderr


BAD = {
    "nan": np.full((40, 3), np.nan, np.float32),
    "object": np.array([[1, "a"], [2, None]] * 20, dtype=object),
    "text": np.array([["a", "b"]] * 40),
    "zero rows": np.zeros((0, 3), np.float32),
    "one axis": np.zeros(40, np.float32),
    "small images": np.zeros((40, 3, 4), np.uint8),
    "complex": np.zeros((40, 3), np.complex64),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_arrays(tmp_path: Path, kind: str) -> None:
    np.save(tmp_path / "bad.npy", BAD[kind], allow_pickle=kind == "object")
    refused(invoke("train", "array", "--data", tmp_path / "bad.npy"), "bad.npy", "expected")


def test_likelihood_that_does_not_fit(tmp_path: Path, table: Path) -> None:
    refused(
        invoke("train", "array", "--data", table, "--out", tmp_path / "run", "--set", "model.likelihood=bernoulli"),
        "bernoulli", "levels", "gaussian",
    )  # fmt: skip
    assert not (tmp_path / "run").exists()


def test_convolutions_on_rows(tmp_path: Path, table: Path) -> None:
    refused(
        invoke("train", "array", "--data", table, "--out", tmp_path / "run", "--set", "model.encoder=conv"),
        "model.encoder",
    )


def test_data_of_another_shape(run: Path, table: Path) -> None:
    refused(invoke("evaluate", run, "--data", table), "9", "12", "5")


# --- runs ------------------------------------------------------------------------------------------------------------

TAKE_RUN = [
    "evaluate",
    "generate",
    "reconstruct",
    "interpolate",
    "traverse",
    "embed",
    "report",
    "compare",
    "doctor",
    "show",
    "cite",
]


@pytest.mark.parametrize("command", TAKE_RUN)
def test_no_such_run(command: str, tmp_path: Path) -> None:
    refused(invoke(command, tmp_path / "nowhere"), "nowhere", "no such run directory")


@pytest.mark.parametrize("command", TAKE_RUN)
def test_not_a_run(command: str, tmp_path: Path) -> None:
    refused(invoke(command, tmp_path), "not a run directory")


@pytest.fixture
def copy(run: Path, tmp_path: Path) -> Path:
    """A run that a test may harm."""
    shutil.copytree(run, tmp_path / "copy")
    return tmp_path / "copy"


def test_incomplete_run(copy: Path) -> None:
    (copy / "best.safetensors").unlink()
    refused(invoke("evaluate", copy), "incomplete", f"vaekit train --resume {copy}")


def test_run_of_a_newer_version(copy: Path) -> None:
    info = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**info, "schema": 99}))
    refused(invoke("show", copy), "newer", "pip install --upgrade vaekit")


def test_tampered_weights(copy: Path) -> None:
    content = bytearray((copy / "best.safetensors").read_bytes())
    content[-3] ^= 0xFF
    (copy / "best.safetensors").write_bytes(bytes(content))
    refused(invoke("generate", copy), "altered")


def test_tampered_configuration(copy: Path) -> None:
    text = (copy / "config.yaml").read_text()
    (copy / "config.yaml").write_text(text.replace("latent: 3", "latent: 4"))
    refused(invoke("generate", copy), "config.yaml", "altered")


def test_torn_record(copy: Path) -> None:
    (copy / "run.json").write_text('{"name": ')
    refused(invoke("show", copy), "run.json", "torn")


def test_runs_are_not_overwritten(run: Path, images: Path) -> None:
    before = (run / "best.safetensors").read_bytes()
    refused(invoke("train", "array", "--data", images, "--out", run, *settings()), "not overwritten", "--resume")
    assert (run / "best.safetensors").read_bytes() == before


def test_changed_data(copy: Path, images: Path, tmp_path: Path) -> None:
    text = (copy / "config.yaml").read_text()
    other = tmp_path / "other.npz"
    np.savez(other, images=np.zeros((90, 9, 12), np.uint8))
    info = json.loads((copy / "run.json").read_text())
    (copy / "config.yaml").write_text(text.replace(str(images), str(other)))
    from vaekit.run import config_digest

    (copy / "run.json").write_text(json.dumps({**info, "config_digests": [config_digest(copy)]}))
    refused(invoke("evaluate", copy), "fingerprint", "--data PATH")


# --- places and values -----------------------------------------------------------------------------------------------


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(invoke("train", "digits", "--out", tmp_path / "file" / "run", *settings()), "cannot be made", "--out")


@pytest.mark.parametrize(
    "arguments",
    [
        ["generate", "-n", "4", "-o"],
        ["reconstruct", "-o"],
        ["interpolate", "-o"],
        ["traverse", "-o"],
        ["decode", "latents.npz", "-o"],
    ],
)
def test_files_asked_for_are_not_overwritten(run: Path, tmp_path: Path, arguments: list[str]) -> None:
    mine = tmp_path / "mine.png"
    mine.write_bytes(b"mine")
    command, *rest = arguments
    refused(invoke(command, run, *rest, mine), "mine.png", "not overwritten", "--force")
    assert mine.read_bytes() == b"mine"


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["generate", "-o", "new.jpg"], ["new.jpg", ".png", ".npz"]),
        (["generate", "--temperature", "0"], ["temperature", "above 0"]),
        (["generate", "--pixels", "meen"], ["meen", "mean"]),
        (["evaluate", "--split", "tset"], ["tset", "validation"]),
        (["interpolate", "--from", "1"], ["--to"]),
        (["interpolate", "--mode", "cubic"], ["cubic", "slerp"]),
        (["interpolate", "--from", "1", "--to", "99999"], ["99999"]),
        (["traverse", "--dims", "a,b"], ["--dims", "0,4,7"]),
        (["traverse", "--dims", "3"], ["0 to 2"]),
        (["traverse", "--base", "99999"], ["99999"]),
        (["embed", "-o", "latents.txt"], ["latents.txt", ".csv"]),
        (["decode", "nowhere.csv"], ["nowhere.csv"]),
    ],
)
def test_wrong_values(run: Path, arguments: list[str], parts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    command, *rest = arguments
    refused(invoke(command, run, *rest), *parts)


@pytest.mark.parametrize("option", [["-n", "0"], ["-n", "many"]])
def test_wrong_counts(run: Path, option: list[str]) -> None:
    result = invoke("generate", run, *option)
    assert result.exit_code == 2 and "-n" in said(result)


def test_latents_of_another_model(run: Path, tmp_path: Path) -> None:
    (tmp_path / "z.csv").write_text("id,mean_0\na,0.5\n")
    refused(invoke("decode", run, tmp_path / "z.csv"), "(n, 3)", "vaekit embed")


def test_resume_on_changed_data(tmp_path: Path) -> None:
    data, out = tmp_path / "rows.npy", tmp_path / "run"
    rows = np.random.RandomState(0).randn(60, 4).astype(np.float32)
    np.save(data, rows)
    trained(out, data, "model.likelihood=gaussian")
    np.save(data, rows + 1)
    refused(invoke("train", "--resume", out, "--set", "train.epochs=9"), "fingerprint", "restore the data")


# --- what nobody foresaw ---------------------------------------------------------------------------------------------


def broken(kind: Exception) -> object:
    def fails(*_: object, **__: object) -> None:
        raise kind

    return fails


def test_our_own_mistakes_ask_for_a_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "begin", broken(ZeroDivisionError("a / 0")))
    result = invoke("train", "digits")
    assert result.exit_code == 1
    assert "ZeroDivisionError: a / 0" in said(result) and "report it" in said(result)
    assert "Traceback" not in said(result)


def test_debugging_shows_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "begin", broken(ZeroDivisionError("a / 0")))
    monkeypatch.setenv(base.DEBUG, "1")
    assert "Traceback" in said(invoke("train", "digits"))


@pytest.mark.filterwarnings("default")
def test_warnings_are_notes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "begin", lambda *_: warnings.warn("this option is ignored", stacklevel=2))
    result = invoke("train", "digits")
    assert result.exit_code == 0
    assert result.stderr.strip() == "note: this option is ignored"


def test_debug_option(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(base.DEBUG, "")
    result = invoke("--debug", "train", "dgits")
    assert result.exit_code == 2 and "Traceback" in said(result)


def test_interrupted_anywhere(monkeypatch: pytest.MonkeyPatch, run: Path) -> None:
    monkeypatch.setattr(making, "target", broken(KeyboardInterrupt()))  # type: ignore[arg-type]
    result = invoke("generate", run)
    assert result.exit_code == 130 and "Traceback" not in said(result)


@pytest.mark.parametrize(
    "kind",
    [
        OSError(28, "No space left on device", "/full/place"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
        MissingExtraError("matplotlib", "report", "the report"),
    ],
)
def test_the_machine_s_limits(monkeypatch: pytest.MonkeyPatch, run: Path, kind: Exception) -> None:
    monkeypatch.setattr(making, "target", broken(kind))
    refused(invoke("generate", run), "fix:")
