"""Conditions on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from command_line import invoke, refused, said, trained
from PIL import Image

from vaekit.cli.files import Examples, folder_name, rows_of_picture
from vaekit.errors import ConfigError


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory, images: Path) -> Path:
    """A conditional run on the images, whose labels are 0, 1 and 2."""
    return trained(tmp_path_factory.mktemp("runs") / "labelled", images, "data.context=[label]")


def test_a_grid_has_a_row_for_each_condition(labelled: Path, tmp_path: Path) -> None:
    made = invoke("generate", labelled, "-c", "label=2", "--condition", "label=0", "-n", 4, "-o", tmp_path / "rows.png")
    assert made.exit_code == 0, said(made)
    assert "4 new examples under each of 2 conditions" in said(made)
    one = invoke("generate", labelled, "-c", "label=2", "-n", 4, "-o", tmp_path / "one.png")
    assert "4 new examples with label=2" in said(one)
    with Image.open(tmp_path / "rows.png") as rows, Image.open(tmp_path / "one.png") as single:
        assert rows.size != single.size


def test_a_balanced_set_is_read_back(labelled: Path, tmp_path: Path) -> None:
    made = invoke("generate", labelled, "--per-class", 3, "-o", tmp_path / "set")
    assert made.exit_code == 0, said(made)
    assert sorted(path.name for path in (tmp_path / "set").iterdir()) == ["0", "1", "2", "attributes.csv"]
    assert len(list((tmp_path / "set").glob("*/*.png"))) == 9
    assert invoke("generate", labelled, "--per-class", 3, "-o", tmp_path / "set.npz").exit_code == 0
    with np.load(tmp_path / "set.npz") as arrays:
        assert arrays["labels"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2] and arrays["images"].shape == (9, 9, 12)
        z = arrays["latents"].reshape(3, 3, -1)
        assert not np.isclose(z[0], z[1]).any(), "each has a style of its own"
    for data in ("set", "set.npz"):
        found = invoke(
            "evaluate", labelled, "--data", tmp_path / data, "--samples", 2, "--json", tmp_path / f"{data}.json"
        )
        assert found.exit_code == 0, said(found)
        values = json.loads((tmp_path / f"{data}.json").read_text())
        assert [part["name"] for part in values["by_class"]["classes"]] == ["0", "1", "2"]


def test_a_folder_holds_what_the_arrays_hold(labelled: Path, tmp_path: Path) -> None:
    for out in ("set", "set.npz"):
        assert invoke("generate", labelled, "--per-class", 2, "-c", "label=2", "-o", tmp_path / out).exit_code == 0
    with np.load(tmp_path / "set.npz") as arrays:
        for number, image in enumerate(arrays["images"]):
            with Image.open(tmp_path / "set" / "2" / f"{number:04}.png") as picture:
                assert np.array_equal(np.asarray(picture), image)


@pytest.mark.parametrize(
    ("name", "folder"),
    [("cat", "cat"), ("T-shirt/top", "T-shirt-top"), ("..", "class .."), (".x", "class .x"), ("train", "class train")],
)
def test_classes_as_names_of_folders(name: str, folder: str) -> None:
    assert folder_name(name) == folder


def test_reconstructions_as_another_class(labelled: Path, tmp_path: Path) -> None:
    made = invoke("reconstruct", labelled, "-n", 3, "-c", "label=1", "-o", tmp_path / "as.png")
    assert made.exit_code == 0 and (tmp_path / "as.png").exists() and (tmp_path / "as.csv").exists(), said(made)


def test_edits_of_any_labelled_run(labelled: Path, run: Path, tmp_path: Path) -> None:
    for name, where in (("given", labelled), ("plain", run)):
        made = invoke(
            "edit",
            where,
            "--attribute",
            "label=1",
            "--strength",
            "-1..1",
            "--steps",
            3,
            "-n",
            2,
            "-o",
            tmp_path / f"{name}.png",
        )
        assert made.exit_code == 0, said(made)
        assert "label=1: from" in said(made) and "strengths -1 to 1" in said(made)


def test_evaluation_shows_every_class(labelled: Path) -> None:
    made = invoke("evaluate", labelled, "--samples", 2)
    assert made.exit_code == 0 and "without label" in said(made) and "recognized" in said(made), said(made)
    without = invoke("evaluate", labelled, "--samples", 2, "--no-classes")
    assert without.exit_code == 0 and "recognized" not in said(without)


def test_what_is_refused(labelled: Path, run: Path, images: Path, tmp_path: Path) -> None:
    refused(invoke("generate", labelled, "-c", "label=5"), "label has no class '5'", "it has 0, 1, 2")
    refused(invoke("generate", labelled, "-c", "lable=1"), "unknown entry 'lable'", "did you mean 'label'")
    refused(invoke("generate", labelled, "-c", "1"), "expected name=value, such as label=7; got '1'")
    refused(invoke("generate", run, "-c", "label=1"), "trained without a context", "fix:")
    refused(invoke("generate", run, "--per-class", 3), "trained without a context")
    refused(invoke("generate", labelled, "--per-class", 3, "-n", 5), "leave -n out")
    refused(invoke("edit", labelled, "--attribute", "age=3"), "the data has no 'age'", "it has label")
    refused(invoke("edit", labelled, "--attribute", "label=1", "--strength", "2"), "expected a range")
    out = ("--out", tmp_path / "none")
    refused(
        invoke("train", "array", "--data", images, "--set", "data.context=[lable]", *out),
        "unknown entry 'lable'", "did you mean 'label'", "the set has label",
    )  # fmt: skip
    assert not (tmp_path / "none").exists()


def test_attributes_of_a_folder_direct_the_edits_of_an_unconditional_run(tmp_path: Path) -> None:
    draw = np.random.RandomState(0)
    (tmp_path / "photos").mkdir()
    lines = ["file,kind,weight"]
    for i in range(30):
        Image.fromarray((draw.rand(9, 12) * 120 + 100 * (i % 2)).astype(np.uint8)).save(
            tmp_path / "photos" / f"{i}.png"
        )
        lines.append(f"{i}.png,{'light' if i % 2 else 'dark'},{i + 0.5}")
    (tmp_path / "table.csv").write_text("\n".join(lines) + "\n")
    plain = trained(tmp_path / "run", tmp_path / "photos", recipe="images")
    for attribute in ("kind=light", "weight"):
        asked = ("--attribute", attribute, "--attributes", tmp_path / "table.csv", "--steps", 3, "-n", 2, "--force")
        made = invoke("edit", plain, *asked, "-o", tmp_path / "edits.png")
        assert made.exit_code == 0, said(made)
    refused(invoke("edit", plain, "--attribute", "kind=light"), "the data has no 'kind'")


def test_a_sweep_of_one_example_goes_from_left_to_right() -> None:
    names = [f"label={label}, ink={ink}" for label in (3, 8) for ink in (1, 2, 4)]
    rows = rows_of_picture(Examples(torch.arange(6.0).reshape(6, 1), torch.zeros(6, 1), names))
    assert [(name, x[:, 0].tolist()) for name, x in rows] == [
        ("label=3, ink=1 to 4", [0, 1, 2]),
        ("label=8, ink=1 to 4", [3, 4, 5]),
    ]
    several = rows_of_picture(Examples(torch.arange(6.0).reshape(6, 1), torch.zeros(6, 1), names[:2]))
    assert [(name, x[:, 0].tolist()) for name, x in several] == [(names[0], [0, 1, 2]), (names[1], [3, 4, 5])]
    with pytest.raises(ConfigError, match="at most 100 conditions in a picture, got 150"):
        rows_of_picture(Examples(torch.zeros(300, 1), torch.zeros(300, 1), [f"label={i}" for i in range(150)]))
