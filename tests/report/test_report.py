"""The report as a file: self-contained, small, complete, and honest about what it lacks."""

from __future__ import annotations

import importlib
import re
import shutil
import sys
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import vaekit
from vaekit.errors import ConfigError, MissingExtraError, RunError
from vaekit.report import report
from vaekit.tasks.evaluate import evaluate

SECTIONS = [
    "summary",
    "curves",
    "reconstructions",
    "samples",
    "interpolations",
    "traversals",
    "map",
    "activity",
    "abnormal",
    "doctor",
    "configuration",
    "provenance",
    "words",
]
VOID = {"meta", "img", "br", "path", "use", "rect", "image", "link"}


@dataclass
class Read(HTMLParser):
    """What a page holds; tags must be balanced."""

    text: str
    open: list[str] = field(default_factory=list)
    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    words: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        HTMLParser.__init__(self)
        self.feed(self.text)
        self.close()
        assert self.open == [], f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
            self.open.pop()

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        """The attributes of every element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def prose(self) -> str:
        """What a reader sees."""
        return " ".join(" ".join(self.words).split())


def read(path: Path) -> Read:
    return Read(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def of_images(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report(vaekit.load(images), tmp_path_factory.mktemp("pages") / "images.html")


@pytest.fixture(scope="module")
def of_vectors(vectors: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return report(vaekit.load(vectors), tmp_path_factory.mktemp("pages") / "vectors.html")


@pytest.fixture(scope="module", params=["images", "vectors"])
def page(request: pytest.FixtureRequest) -> Path:
    found: Path = request.getfixturevalue(f"of_{request.param}")
    return found


def test_it_is_one_small_file_that_asks_nothing_of_a_network(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert page.stat().st_size < 3_000_000
    assert "http" not in text, "not even a namespace is needed"
    assert not re.search(r"<(script|link|iframe|object|embed|base)\b|@import|url\((?!#)|\bfetch\b", text)
    for tag in ("img", "image"):
        for attributes in read(page).all(tag):
            source = attributes.get("src") or attributes.get("xlink:href") or ""
            assert re.match(r"data:image/(png|webp);base64,[A-Za-z0-9+/=\s]+$", source)


def test_every_section_is_there_and_listed(page: Path) -> None:
    found = read(page)
    assert [section["id"] for section in found.all("section")] == SECTIONS
    links = [attributes["href"] for attributes in found.all("a")]
    assert links == ["#summary", *(f"#{name}" for name in SECTIONS)]
    assert "Not shown." not in found.prose


def test_every_picture_is_described_and_explained(page: Path) -> None:
    found = read(page)
    pictures = [*(image["alt"] for image in found.all("img")), *(chart["aria-label"] for chart in found.all("svg"))]
    assert len(pictures) > 8
    assert all(len(words) > 15 for words in pictures)
    assert all(image["width"].isdigit() and image["height"].isdigit() for image in found.all("img"))
    figures = len(found.all("figure"))
    assert figures == len(found.all("figcaption")) >= 8
    assert found.prose.count(" Good ") >= figures
    assert found.prose.count(" Bad ") >= figures


def test_it_can_be_read_in_both_themes_on_paper_and_by_a_screen_reader(page: Path) -> None:
    text, found = page.read_text(encoding="utf-8"), read(page)
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text
    assert found.all("html") == [{"lang": "en"}]
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in found.all("meta")
    headings = [tag for tag, _ in found.elements if re.fullmatch(r"h\d", tag)]
    assert headings.count("h1") == 1
    assert all(int(after[1]) - int(before[1]) <= 1 for before, after in pairwise(headings))
    assert all("aria-label" in region for region in found.all("div") if region.get("role") == "region")
    charts = "".join(re.findall(r"<svg.*?</svg>", text, re.S))
    assert "var(--ink)" in charts
    assert "var(--accent)" in charts
    assert not re.search(r"#0[1-5]0[2-6]0[3-7]", text), "a colour of the palette was not replaced"


def test_names_inside_charts_are_not_shared(page: Path) -> None:
    charts = re.findall(r"<svg.*?</svg>", page.read_text(encoding="utf-8"), re.S)
    names = [name for chart in charts for name in set(re.findall(r' id="([^"]+)"', chart))]
    assert len(names) == len(set(names))
    for chart in charts:
        used = set(re.findall(r'(?:xlink:href="|url\()#([\w-]+)', chart))
        assert used <= set(re.findall(r' id="([^"]+)"', chart))


def test_figures_have_errors_and_quick_ones_are_called_quick(of_images: Path) -> None:
    prose = read(of_images).prose
    assert re.search(r"ELBO −\d+\.\d+ ± \d+\.\d+ nats", prose)
    assert "Quick figures, made for this report" in prose
    assert "vaekit evaluate" in prose


def test_a_kept_evaluation_is_shown_and_not_made_again(copied: Path) -> None:
    run = vaekit.load(copied)
    found = evaluate(run, samples=3, limit=20)
    before = (copied / "evaluation-test.json").read_bytes()
    prose = read(report(run)).prose
    assert "Quick figures" not in prose
    assert f"{found.n} examples" in prose
    assert "(K = 3)" in prose
    assert (copied / "evaluation-test.json").read_bytes() == before


def test_a_quick_evaluation_is_not_kept(copied: Path) -> None:
    path = report(vaekit.load(copied))
    assert path == copied / "report.html"
    assert not list(copied.glob("evaluation-*.json"))


def test_labels_are_in_the_map_and_without_labels_none_are_claimed(of_images: Path, of_vectors: Path) -> None:
    assert "Colours are labels" in read(of_images).prose
    assert "coloured by label" in of_images.read_text(encoding="utf-8")
    assert "label" not in read(of_vectors).prose


def test_what_comes_from_elsewhere_is_escaped(images: Path, tmp_path: Path) -> None:
    run = vaekit.load(images)
    run.info = replace(run.info, name='<script>alert("x")</script>')
    text = report(run, tmp_path / "page.html").read_text(encoding="utf-8")
    assert "<script" not in text
    assert "&lt;script&gt;" in text


def test_without_its_data_the_rest_is_shown_and_the_reason_told_once(vectors: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(vectors, tmp_path / "run"))
    run = vaekit.load(folder)
    run.info = replace(run.info, fingerprint="of other data")
    found = read(report(run))
    assert [section["id"] for section in found.all("section")] == SECTIONS
    assert found.prose.count("Not shown. The data of run 'array' is not what it was trained on") == 1
    assert found.prose.count("This needs the data; see the summary.") == 5
    assert "ELBO, held out" in found.prose, "the log's figure stands in"
    assert len(found.all("figure")) == 4  # the two of training, samples, traversals


def test_other_data_can_be_given(images: Path, tmp_path: Path) -> None:
    run = vaekit.load(images)
    x = np.random.default_rng(0).integers(0, 17, (9, 1, 8, 8)).astype(np.uint8)
    prose = read(report(run, tmp_path / "page.html", data=x)).prose
    assert "over 9 examples" in prose
    assert "examples of the data in hand" in prose


def test_progress_ends_where_it_said_it_would(vectors: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    report(vaekit.load(vectors), tmp_path / "page.html", progress=lambda done, total: seen.append((done, total)))
    done, totals = zip(*seen, strict=True)
    assert done == tuple(range(1, len(done) + 1))
    assert set(totals) == {done[-1]}


def test_what_cannot_be_done_is_said_before_anything_is_computed(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = vaekit.load(images)
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="cannot be written"):
        report(run, tmp_path / "file" / "page.html")
    run.path = None
    with pytest.raises(ConfigError, match="needs a place"):
        report(run)
    for package in ("jinja2", "matplotlib"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(MissingExtraError, match=r"vaekit\[report\]"):
                report(run, tmp_path / "page.html")


def test_the_package_and_the_function_have_one_name() -> None:
    module = importlib.import_module("vaekit.report")
    assert callable(module)
    assert callable(vaekit.report)
