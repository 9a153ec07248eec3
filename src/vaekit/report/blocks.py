"""What a page is made of. The template draws these records; nothing here knows HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from vaekit.report.embed import Panel
from vaekit.tasks.findings import Finding

Layout = Literal["single", "halves", "thirds", "strips", "pairs"]


@dataclass(frozen=True)
class Caption:
    """What a picture is, what it looks like when all is well, and what it looks like when it is not."""

    what: str
    good: str
    bad: str


@dataclass(frozen=True)
class Plate:
    """A figure: panels that belong together, and their caption."""

    panels: tuple[Panel, ...]
    caption: Caption
    layout: Layout = "single"
    title: str = ""  # where a section has several
    scale: tuple[str, ...] = ()  # words under strips: left, middle, right
    together: int = 0  # strips that belong together; the next ones stand apart

    @property
    def tall(self) -> bool:
        """Whether there is room for the caption beside it, where the window is wide."""
        return self.layout in ("strips", "pairs") or (self.layout == "single" and self.panels[0].height > 300)


@dataclass(frozen=True)
class Row:
    """A line of a table: what it is called, its value, and what it means in plain words."""

    name: str
    value: str
    meaning: str = ""


@dataclass(frozen=True)
class Table:
    """Rows below each other; `title` says what they are about, `note` what they were measured on."""

    title: str
    rows: tuple[Row, ...]
    note: str = ""

    @property
    def explained(self) -> bool:
        """Whether there is a column of meanings."""
        return any(row.meaning for row in self.rows)


@dataclass(frozen=True)
class Fold:
    """Text that is shown when it is asked for."""

    title: str
    text: str


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it. `missing` says why there is nothing, and what would bring it."""

    name: str  # of the link to it
    title: str
    lead: str = ""
    plates: tuple[Plate, ...] = ()
    tables: tuple[Table, ...] = ()
    findings: tuple[Finding, ...] = ()
    remarks: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    folds: tuple[Fold, ...] = ()
    missing: str = ""


@dataclass(frozen=True)
class Tile:
    """A key figure at the top of the page."""

    name: str
    value: str
    error: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Page:
    """The whole report."""

    title: str
    subtitle: str
    made: str
    tiles: tuple[Tile, ...]
    sections: tuple[Section, ...]
    glossary: tuple[Row, ...]
