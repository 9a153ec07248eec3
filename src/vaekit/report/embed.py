"""Charts and pictures inside the page: inline SVG that follows the page's theme, and data URIs of bounded size."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING

from PIL import Image

from vaekit.render.style import Palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Colours that no chart uses otherwise: in the SVG they become the variables of the page's style sheet.
THEMED = Palette(ink="#010203", muted="#020304", rule="#030405", accent="#040506", paper="#050607")
VARIABLES = {
    THEMED.ink: "var(--ink)",
    THEMED.muted: "var(--muted)",
    THEMED.rule: "var(--rule)",
    THEMED.accent: "var(--accent)",
    THEMED.paper: "var(--paper)",
}


@dataclass(frozen=True)
class Panel:
    """One picture of the page: an inline SVG, or the data URI of an image; what it shows in words; a label beside it."""

    alt: str
    svg: str = ""
    uri: str = ""
    width: int = 0
    height: int = 0
    label: str = ""
    note: str = ""

    @property
    def is_chart(self) -> bool:
        """Whether it is an SVG."""
        return bool(self.svg)


def chart_panel(figure: Figure, alt: str, label: str = "", note: str = "") -> Panel:
    """A figure drawn with the palette `THEMED`, as inline SVG."""
    import matplotlib

    buffer = io.StringIO()
    # Names inside of the SVG come from the salt: two charts on one page must not share them.
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": alt}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    width, height = (round(float(size) * 72) for size in figure.get_size_inches())
    return Panel(alt, svg=themed(buffer.getvalue(), alt), width=width, height=height, label=label, note=note)


def themed(svg: str, alt: str) -> str:
    """matplotlib's SVG as a part of the page: in its colours and typeface, described by `alt`, and without needless text."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>|<!--.*?-->", "", svg, flags=re.S)
    svg = re.sub(r"font-family: [^;\"]*", "font-family: inherit", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    used = set(re.findall(r"#([\w-]+)", svg))
    svg = re.sub(r' id="([^"]*)"', lambda found: found.group() if found.group(1) in used else "", svg)
    svg = re.sub(r'="[^"]*"', lambda found: shorter(found.group()), svg)  # attributes alone: never what is to be read
    frame = re.search(r'viewBox="[^"]*"', svg)
    assert frame is not None, "matplotlib's SVG has a viewBox"
    opening = f'<svg {frame.group()} role="img" aria-label="{escape(alt)}">'
    svg = re.sub(r"<svg[^>]*>", lambda _: opening, svg, count=1)
    return re.sub(r"\s*\n\s*", "\n", svg)


def shorter(text: str) -> str:
    """Coordinates with two decimals.

    >>> shorter('x="12.34567" y="3.0001"')
    'x="12.35" y="3"'
    """
    return re.sub(r"\d+\.\d{3,}", lambda found: f"{float(found.group()):.2f}".rstrip("0").rstrip("."), text)


def image_panel(picture: Image.Image, alt: str, limit: int, label: str = "", note: str = "") -> Panel:
    """An image of at most about `limit` bytes."""
    kind, content = compressed(picture, limit)
    uri = f"data:image/{kind};base64,{base64.b64encode(content).decode()}"
    return Panel(alt, uri=uri, width=picture.width, height=picture.height, label=label, note=note)


def compressed(picture: Image.Image, limit: int) -> tuple[str, bytes]:
    """The first of PNG, lossless WebP and lossy WebP that is small enough; else the last, with fewer pixels."""
    for kind, options in (("png", {"optimize": True}), ("webp", {"lossless": True}), ("webp", {"quality": 88})):
        content = encode(picture, kind, **options)
        if len(content) <= limit:
            return kind, content
    smaller = picture
    while len(content) > limit and min(smaller.size) > 200:
        smaller = smaller.resize((smaller.width * 4 // 5, smaller.height * 4 // 5), Image.Resampling.LANCZOS)
        content = encode(smaller, "webp", quality=82)
    return "webp", content


def encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    """A picture as the bytes of a file."""
    buffer = io.BytesIO()
    picture.save(buffer, kind.upper(), **options)
    return buffer.getvalue()
