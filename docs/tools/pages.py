"""What stands on a page: shell commands, Python, and what they print.

A shell block is fenced as `sh`, Python as `python`. A block fenced as `text` right below one of them holds what it printed (of
several commands the last); `refresh.py` writes it. A picture on a page is a file that the page's own code writes, by its name.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.S | re.M)
_STAMP = re.compile(r"\n*<!-- outputs and pictures are those of the code (\w+) -->\n*$")
_PICTURE = re.compile(r"!\[[^\]]*\]\(([^)]+)\)")


@dataclass(frozen=True)
class Block:
    """A fenced block, and where its text stands on the page."""

    language: str
    text: str
    start: int
    end: int

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block, without comments."""
        lines = [re.split(r"\s#", line)[0].strip() for line in self.text.splitlines()]
        return [line for line in lines if line and not line.startswith("#")]

    @property
    def file(self) -> str | None:
        """The file that the block is, if its first line is a comment with nothing but a file's name."""
        found = re.match(r"# ([\w/]+\.\w+)\n", self.text)
        return found[1] if found else None


def pages() -> list[Path]:
    """The README and all pages of the documentation."""
    return [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]


def blocks(page: Path, *languages: str) -> list[Block]:
    """The fenced blocks of a page, of some languages or of all, in order."""
    text = page.read_text(encoding="utf-8")
    found = [Block(match[1], match[2], match.start(2), match.end(2)) for match in _FENCED.finditer(text)]
    return [block for block in found if not languages or block.language in languages]


def output_of(page: Path, block: Block) -> Block | None:
    """The block that holds what another one prints: the next one, if it is `text` and nothing but space is between."""
    text = page.read_text(encoding="utf-8")
    after = [other for other in blocks(page) if other.start > block.start]
    if not after or after[0].language != "text":
        return None
    between = text[block.end + len("```") : after[0].start - len("```text\n")]
    return after[0] if not between.strip() else None


def digest(page: Path) -> str:
    """Of the code of a page: outputs and pictures belong to one code."""
    code = "\0".join(block.text for block in blocks(page, "sh", "python", "yaml"))
    return hashlib.sha256(code.encode()).hexdigest()[:12]


def stamp(page: Path) -> str | None:
    """The digest of the code that made a page's outputs and pictures; None where there is none."""
    found = _STAMP.search(page.read_text(encoding="utf-8"))
    return found[1] if found else None


def stamped(page: Path) -> str:
    """The page's text with the digest of its code, as a comment in its last line."""
    text = _STAMP.sub("", page.read_text(encoding="utf-8")).rstrip("\n")
    return f"{text}\n\n<!-- outputs and pictures are those of the code {digest(page)} -->\n"


def pictures(page: Path) -> list[Path]:
    """The pictures that a page shows."""
    return [page.parent / target for target in _PICTURE.findall(page.read_text(encoding="utf-8"))]
