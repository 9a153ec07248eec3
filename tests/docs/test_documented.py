"""Every command and code block of the README, the docs and the recipes runs, on small data and for one epoch."""

from __future__ import annotations

import gzip
import re
import shlex
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vaekit.cli import main

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
RECIPES = sorted((ROOT / "src" / "vaekit" / "configs").glob("*.yaml"))
QUICK = {  # what takes long on a page, and the same made short
    'vaekit.train("digits")': 'vaekit.train("digits", overrides=["train.epochs=1"])',
    'vaekit.train("table-anomaly", data="table.csv")': (
        'vaekit.train("table-anomaly", data="table.csv", overrides=["train.epochs=1"])'
    ),
    'overrides=["data.label=state"': 'overrides=["train.epochs=1", "data.label=state"',
    'vaekit.tune("digits", trials=10': 'vaekit.tune("digits", trials=2, overrides=["train.epochs=1"]',
    "VariationalAutoencoder(random_state=0), grid": "VariationalAutoencoder(max_epochs=1, random_state=0), grid",
    "AnomalyDetector(": "AnomalyDetector(steps=20, n_models=1, ",
    "PyODDetector(": "PyODDetector(steps=20, n_models=1, ",
}
MAKE = set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)[1].split())  # type: ignore[index]


def blocks(page: Path, language: str) -> list[str]:
    """The fenced blocks of a language on a page."""
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.S)


def commands(page: Path) -> list[str]:
    """The lines of a page's shell blocks, without comments."""
    lines = [line.split(" #")[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that the documents speak of: photos/, good/, tables, and small stand-ins for the named sets."""
    random = np.random.default_rng(0)
    for folder in ("photos/cats", "photos/dogs", "good"):
        (tmp_path / folder).mkdir(parents=True)
        for number in range(24 if folder == "good" else 12):
            pixels = random.integers(0, 256, size=(20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / folder / f"{number}.png")
    for name in ("table", "new", "normal", "gaps"):
        write_csv(tmp_path / f"{name}.csv", random, gaps=name == "gaps")
    for page in PAGES:
        for name, text in re.findall(r"```yaml\n# (\w+\.yaml)\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            (tmp_path / name).write_text(text, encoding="utf-8")
    np.save(tmp_path / "table.npy", random.normal(size=(80, 5)).astype(np.float32))
    (tmp_path / "cifar").mkdir()
    for part, count in (("train", 60), ("test", 10)):
        images = random.integers(0, 256, size=(count, 32, 32, 3), dtype=np.uint8)
        np.savez(tmp_path / "cifar" / f"{part}.npz", images=images, labels=random.integers(0, 10, size=count))
    for name in ("mnist", "fashion-mnist"):
        write_idx(tmp_path / "sets" / name, random)
    monkeypatch.setenv("VAEKIT_DATA", str(tmp_path / "sets"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def write_csv(path: Path, random: np.random.Generator, gaps: bool) -> None:
    """A table of numbers with named columns, and perhaps with empty cells."""
    rows = [[f"{value:.3f}" for value in row] for row in random.normal(size=(60, 5))]
    if gaps:
        for number, row in enumerate(rows[::3]):
            row[number % 5] = ""
    lines = ["speed,flow,current,bearing,vibration", *(",".join(row) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_idx(folder: Path, random: np.random.Generator) -> None:
    """The four files of an MNIST-like set, with a few images."""
    folder.mkdir(parents=True)
    for part, count in (("train", 90), ("t10k", 20)):
        images = random.integers(0, 256, size=(count, 28, 28), dtype=np.uint8)
        header = struct.pack(">IIII", 2051, count, 28, 28)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(header + images.tobytes()))
        labels = random.integers(0, 10, size=count, dtype=np.uint8)
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(
            gzip.compress(struct.pack(">II", 2049, count) + labels.tobytes())
        )


def run(line: str) -> None:
    """Run one documented command in this process, shortened where it would take long."""
    words = shlex.split(line)
    if words[0] == "make":
        assert words[1] in MAKE, f"the Makefile has no target {words[1]}"
        return
    assert words[0] == "vaekit", f"an unknown command is documented: {line}"
    if words[1] == "train" and "--resume" not in words:
        words += ["--set", "train.epochs=1", "--set", "data.validation=8"]
    if words[1] == "tune":
        assert {"--trials", "--time"} & set(words), f"a search without an end is documented: {line}"
        words += ["--trials", "2", "--set", "train.epochs=1"]
    if words[1] == "evaluate":
        words += ["--samples", "3", "--limit", "10"]
    with pytest.raises(SystemExit) as ended:
        main(words[1:])
    assert not ended.value.code, f"{line} ended with code {ended.value.code}"


@pytest.mark.parametrize("page", [page for page in PAGES if commands(page)], ids=lambda page: page.name)
def test_commands_of_a_page_run(page: Path, place: Path) -> None:
    for line in commands(page):
        run(line)


TABLE_OF_DATA = re.findall(
    r"\| `(vaekit train .*?)`", (ROOT / "README.md").read_text(encoding="utf-8").split("## Your own data")[1]
)


@pytest.mark.parametrize("line", TABLE_OF_DATA)
def test_ways_to_bring_data_run(line: str, place: Path) -> None:
    run(line)


def test_the_table_of_commands_is_complete(capsys: pytest.CaptureFixture[str]) -> None:
    documented = set(re.findall(r"`vaekit (\w+)", (ROOT / "README.md").read_text(encoding="utf-8")))
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    for name in documented:
        assert re.search(rf"\b{name}\b", shown), f"the README documents `{name}`, which --help does not show"
    known = {
        "train",
        "evaluate",
        "generate",
        "reconstruct",
        "edit",
        "interpolate",
        "traverse",
        "embed",
        "decode",
        "report",
    }
    assert known | {"compare", "detect", "calibrate", "tune", "doctor", "list", "show", "init", "cite"} <= documented


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "python")], ids=lambda page: page.name)
def test_python_of_a_page_runs(page: Path, place: Path) -> None:
    names: dict[str, object] = {}
    for block in blocks(page, "python"):
        if match := re.match(r"# (my_\w+\.py)\n", block):
            (place / match[1]).write_text(block, encoding="utf-8")
            continue
        quick = block
        for slow, short in QUICK.items():
            quick = quick.replace(slow, short)
        exec(compile(quick, str(page), "exec"), names)
    for name in [name for name in sys.modules if name.startswith("my_")]:
        del sys.modules[name]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_commands_in_the_comments_of_a_recipe_run(recipe: Path, place: Path) -> None:
    for line in re.findall(r"#.*?(vaekit train [^\n]*)", recipe.read_text(encoding="utf-8")):
        table = "table.csv" if recipe.stem == "table-anomaly" else "table.npy"
        run(line.replace("FOLDER", "cifar" if recipe.stem == "cifar10" else "photos").replace("FILE", table))


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name} links to {target}, which is not there"
