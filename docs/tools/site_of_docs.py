"""The documentation as a site: `python docs/tools/site_of_docs.py`.

Pages are those of docs/. Made here are the tutorials (from the executed notebooks), the reference of the Python interface, of
the families, the recipes and the command line (from the source), and the pages of measured figures (from benchmarks/). Formulas
become MathML, which browsers draw themselves, so that the site needs no network, and no script for them. Warnings are errors.
"""

from __future__ import annotations

import argparse
import html
import re
import shutil
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import nbformat
from fontTools.subset import Options, Subsetter, load_font, save_font
from latex2mathml.converter import convert
from nbconvert import MarkdownExporter

import reference
from notebooks import sources
from pages import DOCS, ROOT

PAGES, SITE = ROOT / "build" / "pages", ROOT / "build" / "site"
_MATHEMATICAL = [chr(code) for code in range(0x1D400, 0x1D800)]  # the slanted letters that browsers put for single ones
_FUNCTION = re.compile(r"<mi>(?:log|ln|exp|max|min)</mi>(?=<mi|<mn>|<mrow>|<msub>)")  # log p, not logp
_LETTER = re.compile(r"\\(mathbb|mathcal) (\w)")  # braces make a letter of another kind of it, as browsers need
_NOTEBOOK = re.compile(r"\]\(notebooks/(\w+)\.ipynb")
_FORMULA = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', re.S)


def assemble(place: Path = PAGES) -> None:
    """All pages as Markdown in one folder."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(DOCS, place, ignore=shutil.ignore_patterns("tools", "notebooks", "__pycache__"))
    for results in sorted(ROOT.glob("benchmarks/*/results.md")):
        target = place / results.relative_to(ROOT)
        target.parent.mkdir(parents=True)
        shutil.copy(results, target)
    shutil.copy(ROOT / "CHANGELOG.md", place / "changelog.md")
    for source in sources():
        tutorial(source.with_suffix(".ipynb"), place / "notebooks")
    reference.write(place / "reference")
    for page in place.glob("*.md"):
        text = page.read_text(encoding="utf-8").replace("](../benchmarks/", "](benchmarks/")
        page.write_text(_NOTEBOOK.sub(r"](notebooks/\1.md", text), encoding="utf-8")


def tutorial(notebook: Path, folder: Path) -> None:
    """An executed notebook as a page, its pictures beside it."""
    wanted = {"output_files_dir": notebook.stem}
    text, made = MarkdownExporter().from_notebook_node(nbformat.read(notebook, as_version=4), wanted)
    (folder / notebook.stem).mkdir(parents=True, exist_ok=True)
    for name, content in made["outputs"].items():
        (folder / name).write_bytes(content)
    (folder / f"{notebook.stem}.md").write_text(text, encoding="utf-8")


def build() -> Path:
    """The site from the assembled pages, and where it is; raises `SystemExit` with what the builder prints if it warns."""
    done = subprocess.run(
        [Path(sys.executable).with_name("zensical"), "build", "--clean", "--strict"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode or re.search(r"^(griffe:|warning|error)", done.stdout, re.I | re.M):
        raise SystemExit(f"the site has warnings:\n{done.stdout}")
    drawn = {page: with_formulas(page.read_text(encoding="utf-8")) for page in SITE.rglob("*.html")}
    for page, text in drawn.items():
        page.write_text(text, encoding="utf-8")
    write_font(SITE / "formula.woff", html.unescape("".join(drawn.values())))
    return SITE


def with_formulas(page: str) -> str:
    """Formulas in TeX replaced by MathML."""

    def drawn(match: re.Match[str]) -> str:
        display = "block" if match[2] == "[" else "inline"
        tex = _LETTER.sub(r"\\\1{\2}", html.unescape(match[3]))
        formula = convert(tex, display=display).replace("<mo>&#x02016;</mo>", '<mo stretchy="false">&#x02016;</mo>')
        return _FUNCTION.sub(r'\g<0><mspace width="0.15em"/>', formula)

    return _FORMULA.sub(drawn, page)


def write_font(path: Path, text: str) -> None:
    """The glyphs of STIX Two Math that a text needs: brackets grow only with a font for mathematics, which few systems have."""
    options = Options(flavor="woff", notdef_outline=True)
    font = load_font(str(distribution("ziamath").locate_file("ziamath/fonts/STIXTwoMath-Regular.ttf")), options)
    subsetter = Subsetter(options)
    subsetter.populate(text=text + "".join(_MATHEMATICAL))
    subsetter.subset(font)
    save_font(font, str(path), options)
    font.close()


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    assemble()
    print(build() / "index.html")


if __name__ == "__main__":
    main()
