"""The house rules, read off the source: imports go one way, files and functions stay short, importing is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "vaekit"
FILES = sorted(SOURCE.rglob("*.py"))
EVERYWHERE = {"errors", ""}  # "" is the package itself: its version

# Layer → what it may import, besides itself and `errors`.
ALLOWED = {
    "errors": set(),
    "schedules": set(),
    "core": set(),
    "distributions": {"core"},
    "nets": set(),
    "priors": {"core", "distributions", "nets"},
    "posteriors": {"core", "distributions", "nets"},
    "likelihoods": {"core", "distributions", "nets"},
    "contexts": {"core", "nets"},
    "objectives": {"core", "schedules"},
    "model": {"core"},
    "data": {"core"},
    "engine": {"core", "model", "schedules"},
    "metrics": {"core", "model", "data", "distributions", "engine"},
    "config": {"engine"},
    "recipes": {"config"},
    "build": {"config", "core", "engine", "model", "nets"},
    "run": {"build", "config", "core", "data", "engine", "model", "recipes"},
    "citations": set(),
    "render": {"core"},
}
UPPER = {"tasks", "report", "estimators", "cli", "__init__", "__main__"}  # callers of all of the above
ABOVE = {"report": {"estimators", "cli"}, "tasks": {"report", "estimators", "cli"}, "estimators": {"report", "cli"}}


def layer(path: Path) -> str:
    """The first part of a file's place in the package."""
    return path.relative_to(SOURCE).with_suffix("").parts[0]


def imported(path: Path) -> set[str]:
    """The layers that a file imports, type checking and lazy imports included."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "vaekit":
            parts = node.module.split(".")
            found |= {parts[1]} if len(parts) > 1 else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            found |= {[*alias.name.split("."), ""][1] for alias in node.names if alias.name.split(".")[0] == "vaekit"}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_imports_go_one_way(path: Path) -> None:
    here = layer(path)
    used = imported(path) - EVERYWHERE - {here}
    if here in UPPER:
        assert not used & ABOVE.get(here, set()), f"{here} imports what stands above it"
    else:
        assert used <= ALLOWED[here], f"{here} may not import {', '.join(sorted(used - ALLOWED[here]))}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert text.count("\n") <= 400, "a file has at most 400 lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert node.end_lineno is not None
            assert node.end_lineno - node.lineno < 80, f"{node.name} has more than 80 lines"


def loaded(statement: str) -> set[str]:
    """The modules that are loaded after a statement, in a fresh interpreter."""
    code = f"{statement}\nimport sys; print('\\n'.join(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.splitlines())


def test_importing_is_light() -> None:
    assert not loaded("import vaekit") & {"torch", "matplotlib", "pandas", "sklearn", "fastapi", "numpy"}
    light = loaded("import vaekit; vaekit.train; vaekit.load; vaekit.VAE")
    assert not light & {"matplotlib", "pandas", "sklearn", "torchmetrics", "fastapi", "jinja2", "pooch"}


def test_help_does_not_load_torch() -> None:
    statement = "from vaekit.cli import main\ntry:\n    main(['--help'])\nexcept SystemExit:\n    pass"
    assert "torch" not in loaded(statement)
