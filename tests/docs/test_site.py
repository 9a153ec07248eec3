"""The site builds without a warning, and needs no network to be read."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from filelock import FileLock

import site_of_docs
from notebooks import sources


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once, also where the tests of this file fall to several processes."""
    shared = tmp_path_factory.getbasetemp()
    shared = shared.parent if "PYTEST_XDIST_WORKER" in os.environ else shared
    with FileLock(shared / "site.lock"):
        if not (shared / "site.done").exists():
            site_of_docs.assemble()
            site_of_docs.build()
            (shared / "site.done").touch()
    return site_of_docs.SITE


def test_every_page_is_there(site: Path) -> None:
    wanted = [path.relative_to(site_of_docs.PAGES) for path in site_of_docs.PAGES.rglob("*.md")]
    assert len(wanted) > 25
    for page in wanted:
        assert (site / page.with_suffix(".html")).exists(), f"{page} is on no page of the site"
    for source in sources():
        assert (site / "notebooks" / f"{source.stem}.html").exists()


def test_every_page_is_in_the_navigation(site: Path) -> None:
    navigation = (site_of_docs.ROOT / "mkdocs.yml").read_text(encoding="utf-8").split("\nnav:")[1]
    listed = re.findall(r": (\S+\.md)$", navigation, re.M)
    there = {str(path.relative_to(site_of_docs.PAGES)) for path in site_of_docs.PAGES.rglob("*.md")}
    assert sorted(listed) == sorted(there)


def test_nothing_is_fetched_from_elsewhere(site: Path) -> None:
    elsewhere = r"(?:https?:)?//[^\"' >)]+"
    for page in site.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        fetched = re.findall(rf"<(?:script|img|iframe|source|video)\b[^>]*\bsrc=[\"']?({elsewhere})", text)
        links = re.findall(r"<link\b[^>]*>", text)
        kinds = r"rel=[\"']?(?:stylesheet|preload|preconnect|modulepreload|icon)"
        fetched += [link for link in links if re.search(kinds, link) and re.search(rf"href=[\"']?{elsewhere}", link)]
        assert not fetched, f"{page.name}: {fetched}"
    for style in site.rglob("*.css"):
        text = style.read_text(encoding="utf-8")
        assert not re.search(rf"(?:url\(|@import)\s*[\"']?{elsewhere}", text), style.name


def test_search_from_the_file_system_has_what_it_needs(site: Path) -> None:
    """A script with the index, and a stand-in for the worker, which browsers refuse to pages of the file system."""
    assert (site / "search.js").read_text(encoding="utf-8").startswith("var __index = ")
    for page in set(site.rglob("*.html")) - {site / "404.html"}:  # which only a server shows
        scripts = re.findall(r"<script [^>]*src=\"?([^\" >]+)", page.read_text(encoding="utf-8"))
        assert any((page.parent / script).resolve() == site / "iframe-worker.js" for script in scripts), page.name


def test_formulas_are_drawn_without_scripts(site: Path) -> None:
    page = (site / "maths.html").read_text(encoding="utf-8")
    assert page.count("<math") > 40
    for other in site.rglob("*.html"):
        text = other.read_text(encoding="utf-8")
        assert 'class="arithmatex"' not in text, other.name
        assert "<merror" not in text, other.name


def test_the_reference_has_what_is_public(site: Path) -> None:
    page = (site / "reference" / "python.html").read_text(encoding="utf-8")
    for name in (
        "vaekit.tasks.train.train",
        "vaekit.estimators.autoencoder.VariationalAutoencoder",
        "vaekit.core.Trace",
    ):
        assert f'id="{name}"' in page
    families = (site / "reference" / "families.html").read_text(encoding="utf-8")
    assert 'id="vaekit.likelihoods.logistic.Logistic"' in families


def test_search_knows_the_pages(site: Path) -> None:
    found = next(site.rglob("search.json"))
    index = json.loads(found.read_text(encoding="utf-8"))
    assert "importance-weighted" in json.dumps(index)
