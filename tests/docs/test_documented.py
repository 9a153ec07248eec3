"""Every command and code block of the README, the docs and the recipes runs, on small data and for one epoch."""

from __future__ import annotations

import dataclasses
import functools
import inspect
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from stand_ins import bring

import reference
import vaekit
from notebooks import read, sources
from pages import DOCS, ROOT, Block, blocks, digest, output_of, pages, pictures, stamp
from refresh import shows
from vaekit import config
from vaekit.cli import main
from vaekit.engine.plan import Plan

README = ROOT / "README.md"
PAGES = [page for page in pages() if page.parent in (DOCS, ROOT)]
WITH_CODE = [page for page in PAGES if blocks(page, "sh", "python")]
RECIPES = sorted((ROOT / "src" / "vaekit" / "configs").glob("*.yaml"))
MAKE = set(re.search(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)[1].split())  # type: ignore[index]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that the documents speak of, in which what takes long from Python is quick."""
    bring(tmp_path)
    monkeypatch.setenv("VAEKIT_DATA", str(tmp_path / "sets"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    once = ["train.epochs=1"]
    monkeypatch.setattr(vaekit, "train", changed(vaekit.train, once))
    monkeypatch.setattr(vaekit, "tune", changed(vaekit.tune, once, trials=2))
    monkeypatch.setattr(vaekit, "evaluate", changed(vaekit.evaluate, samples=3))
    short: dict[str, dict[str, int]] = {
        "VariationalAutoencoder": {"max_epochs": 1},
        "AnomalyDetector": {"steps": 20, "n_models": 1},
        "PyODDetector": {"steps": 20, "n_models": 1},
    }
    for name, settings in short.items():
        monkeypatch.setattr(vaekit, name, functools.partial(getattr(vaekit, name), **settings))
    return tmp_path


def changed(function: Callable[..., Any], overrides: Sequence[str] = (), **fixed: Any) -> Callable[..., Any]:
    """A task with some overrides behind those that are given, and some options as they are here."""

    def call(*args: Any, **options: Any) -> Any:
        if overrides:
            options["overrides"] = [*options.get("overrides", ()), *overrides]
        return function(*args, **options | fixed)

    return call


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


def run_block(block: Block, page: Path, names: dict[str, object]) -> None:
    """Run a block of shell commands or Python, or write the file that it is."""
    if block.file is not None:
        Path(block.file).write_text(block.text, encoding="utf-8")
    elif block.language == "sh":
        for line in block.commands:
            run(line)
    elif block.language == "python":
        exec(compile(block.text, str(page), "exec"), names)


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_a_page_runs_from_top_to_bottom(page: Path, place: Path) -> None:
    names: dict[str, object] = {}
    for block in blocks(page, "sh", "python", "yaml"):
        run_block(block, page, names)
    if page != README:  # whose pictures are those of the first page
        missing = [picture.name for picture in pictures(page) if not (place / picture.name).exists()]
        assert not missing, f"{page.name} shows pictures that its own code does not make: {missing}"
    for name in [name for name in sys.modules if name.startswith("my_")]:
        del sys.modules[name]


@pytest.mark.parametrize("page", [page for page in PAGES if blocks(page, "text")], ids=lambda page: page.stem)
def test_output_stands_below_what_printed_it(page: Path) -> None:
    printed = [output_of(page, block) for block in blocks(page, "sh", "python")]
    for block in blocks(page, "text"):
        assert block in printed, f"{page.name} shows an output below no code:\n{block.text}"
        assert block.text.strip(), f"{page.name} shows an empty output; run docs/tools/refresh.py {page.stem}"


@pytest.mark.parametrize("page", [page for page in PAGES if page != README and shows(page)], ids=lambda page: page.stem)
def test_outputs_are_those_of_the_code_above_them(page: Path) -> None:
    assert stamp(page) == digest(page), f"the code of {page.name} has changed: run docs/tools/refresh.py {page.stem}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_block_is_of_a_language_that_is_looked_at(page: Path) -> None:
    fences = re.findall(r"^( *)```(.*)$", page.read_text(encoding="utf-8"), re.M)
    assert {language for _, language in fences} <= {"", "sh", "python", "yaml", "text"}
    assert not any(indent for indent, _ in fences)


def test_pictures_of_the_readme_are_those_of_the_first_page() -> None:
    assert set(pictures(README)) <= {DOCS / "images" / path.name for path in pictures(DOCS / "index.md")}


def test_every_picture_is_shown() -> None:
    shown = {picture.name for page in PAGES for picture in pictures(page)}
    assert {path.name for path in (DOCS / "images").iterdir()} == shown


TABLE_OF_DATA = re.findall(r"\| `(vaekit train .*?)`", README.read_text(encoding="utf-8").split("## Your own data")[1])


@pytest.mark.parametrize("line", TABLE_OF_DATA)
def test_ways_to_bring_data_run(line: str, place: Path) -> None:
    run(line)


def test_commands_that_are_told_of_exist_with_their_options() -> None:
    """Also those in the text of pages, which no test runs."""
    known = {name: set(options) for name, options in reference.options().items()}
    documented: set[str] = set()
    texts = {page.name: page.read_text(encoding="utf-8") for page in PAGES}
    texts |= {source.name: "\n".join(cell.source for cell in read(source).cells) for source in sources()}
    for place, text in texts.items():
        for line in re.findall(r"`vaekit ([a-z][^`]*)`", text):
            for part in re.split(r", (?:`)?vaekit ", line):
                name, *words = part.split()
                assert name in known, f"{place} tells of a command {name}"
                unknown = {word.split("=")[0] for word in words if word.startswith("-") and word != "-"} - known[name]
                assert not unknown, f"{place} tells of {unknown} of {name}"
                documented.add(name)
    assert documented == set(known)


SECTIONS = {
    "data": "data",
    "objective": "objectives",
    "model.encoder": "nets",
    "model.decoder": "nets",
    "model.likelihood": "likelihoods",
    "model.prior": "priors",
    "model.posterior": "posteriors",
    "model.context": "contexts",
}


def fields() -> set[str]:
    """The dotted paths of all settings of all members of the families."""
    known = {f"train.{field.name}" for field in dataclasses.fields(Plan)} | {"model.latent", *SECTIONS}
    for section, family in SECTIONS.items():
        for name in config.members(family):
            known |= {f"{section}.{key}" for key in inspect.signature(config.find_class(family, name)).parameters}
        known.add(f"{section}.name")
    return known


def test_settings_that_are_told_of_exist() -> None:
    """Also those in the text of pages, which no test sets."""
    known = fields()
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for name in re.findall(r"`(?:--set )?((?:data|model|objective|train)\.[a-z_.]+)", text):
            assert name in known or name.endswith((".py", ".csv")), f"{page.name} tells of a setting {name}"


def test_every_command_has_its_section() -> None:
    headings = re.findall(r"^## (.*)$", (DOCS / "commands.md").read_text(encoding="utf-8"), re.M)
    assert {name for heading in headings for name in heading.split(", ")} == set(reference.options())


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: path.stem)
def test_commands_in_the_comments_of_a_recipe_run(recipe: Path, place: Path) -> None:
    for line in re.findall(r"#.*?(vaekit train [^\n]*)", recipe.read_text(encoding="utf-8")):
        table = "table.csv" if recipe.stem == "table-anomaly" else "table.npy"
        run(line.replace("FOLDER", "cifar" if recipe.stem == "cifar10" else "photos").replace("FILE", table))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    """To files, to headings of pages, or to pages that are made for the site."""
    for target, _, heading in re.findall(r"\]\(([^)#\s]*)(#([^)]+))?\)", page.read_text(encoding="utf-8")):
        if target.startswith("http") or target in {f"reference/{name}" for name in reference.PAGES}:
            continue
        aim = page.parent / target if target else page
        assert aim.exists(), f"{page.name} links to {target}, which is not there"
        if heading:
            lines = re.findall(r"^#+ (.*)$", aim.read_text(encoding="utf-8"), re.M)
            assert heading in {anchor(line) for line in lines}, f"{page.name} links to {target}#{heading}"


def anchor(heading: str) -> str:
    """A heading's name in links."""
    return re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower())).strip("-")
