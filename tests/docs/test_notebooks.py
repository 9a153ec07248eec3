"""The tutorials run, and what is shipped of them is what their texts make."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

from notebooks import execute, read, sources

NOTEBOOKS = sources()


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs_with_small_sizes(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MPLCONFIGDIR", str(tmp_path / "matplotlib"))
    place = tmp_path / "place"
    place.mkdir()
    done = execute(read(source, smoke=True), place, timeout=120)
    assert any(output.output_type != "stream" for cell in done.cells for output in cell.get("outputs", []))


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_shipped_notebook_is_that_of_the_text(source: Path) -> None:
    shipped = nbformat.read(source.with_suffix(".ipynb"), as_version=4)
    cells = [(cell.cell_type, cell.source) for cell in shipped.cells]
    assert cells == [(cell.cell_type, cell.source) for cell in read(source).cells], "make notebooks"
    code = [cell for cell in shipped.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_shipped_notebook_is_small_and_speaks_of_no_machine(source: Path) -> None:
    path = source.with_suffix(".ipynb")
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size < 1_000_000
    printed = re.sub(r'"image/png": "[^"]*"', "", text)
    assert not re.search(r"/(home|root|tmp|work|Users)/", printed)
    assert '"output_type": "error"' not in text
    assert '"name": "stderr"' not in text, "a cell warns"


@pytest.mark.parametrize("source", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_asks_and_answers(source: Path) -> None:
    text = "\n".join(cell.source for cell in read(source).cells if cell.cell_type == "markdown")
    exercises, answers = text.split("## Exercises")[1].split("## Answers")
    asked = re.findall(r"^(\d+)\. ", exercises, re.M)
    answered = re.findall(r"^\*\*(\d+)\.\*\*", answers, re.M)
    assert len(asked) >= 4
    assert asked == answered


def test_every_size_for_the_tests_is_used() -> None:
    """A marker that is misspelt would run the notebook in full."""
    for source in NOTEBOOKS:
        marked = source.read_text(encoding="utf-8").count("in tests:")
        full, small = read(source), read(source, smoke=True)
        differing = sum(
            a != b
            for one, other in zip(full.cells, small.cells, strict=True)
            for a, b in zip(one.source.splitlines(), other.source.splitlines(), strict=True)
        )
        assert differing == marked > 0, source.name
