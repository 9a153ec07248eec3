"""One self-contained HTML file: no script, no network, everything inside."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from vaekit.errors import ConfigError, MissingExtraError
from vaekit.render import write
from vaekit.report.blocks import Page
from vaekit.run import Run

HERE = Path(__file__).parent
NAME = "report.html"


def report(
    run: Run,
    path: str | Path | None = None,
    *,
    data: Any = None,
    progress: Callable[[int, int], None] | None = None,
) -> Path:
    """Write a run's report: figures, curves, pictures, each explained, and where all of it comes from.

    Args:
        run: the trained model.
        path: of the HTML file; by default `report.html` in the run's directory, where an older one is replaced.
        data: instead of the run's own: a path, an array, a tensor, PIL images, or rows.
        progress: called with the number of steps done, and of all.

    Returns:
        Where it is.

    Raises:
        ConfigError: a run without a directory needs a path.
        RunError: the file cannot be written.
        MissingExtraError: matplotlib or Jinja is not installed.
    """
    if path is None and run.path is None:
        raise ConfigError("a run without a directory needs a place for its report.\n  fix: report(run, 'report.html')")
    path = Path(path) if path is not None else Path(str(run.path)) / NAME
    check_extras()
    from vaekit.report.gather import gather

    content = to_html(lay_out(gather(run, data, progress))).encode()
    write(path, content)
    return path


def check_extras() -> None:
    """Raise `MissingExtraError` before anything is computed."""
    for package in ("matplotlib", "jinja2"):
        try:
            __import__(package)
        except ImportError:
            raise MissingExtraError(package, "report", "the report") from None


def lay_out(material: Any) -> Page:
    """What was gathered, as a page."""
    from vaekit.report import words
    from vaekit.report.sections import best_line, sections
    from vaekit.report.tables import subtitle, tiles

    run, now = material.run, datetime.now().astimezone()
    return Page(
        title=run.name,
        subtitle=subtitle(run),
        made=f"{now.day} {now:%B %Y}",
        tiles=tiles(material.figures, best_line(run)),
        sections=sections(material),
        glossary=words.GLOSSARY,
    )


def to_html(page: Page) -> str:
    """The page as HTML. Everything is escaped but the charts, which are ours."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    style = (HERE / "style.css").read_text(encoding="utf-8")
    return environment.get_template("template.html").render(page=page, style=style)
