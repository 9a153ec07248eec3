"""Runs the pages as a reader would, and writes what they print, and the pictures that they make, into the documentation.

python docs/tools/refresh.py                  # all pages that show output or pictures (half an hour; VAEKIT_DATA for MNIST)
python docs/tools/refresh.py start beta       # some of them
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from pages import DOCS, Block, blocks, output_of, pages, pictures, stamped

LONGEST, HEAD, TAIL = 26, 9, 12  # lines of output: longer ones are cut in the middle
WIDTH = 104


def shows(page: Path) -> bool:
    """Whether a page has output or pictures to refresh; such a page makes all that it needs."""
    return page.parent == DOCS and bool(blocks(page, "text") or pictures(page))


def refresh(page: Path) -> None:
    """Run one page in an empty folder, and keep what it prints and draws."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        text = page.read_text(encoding="utf-8")
        printed: list[tuple[Block, str]] = []
        names: dict[str, Any] = {}
        wanted = len([block for block in blocks(page, "sh", "python") if output_of(page, block)])
        for block in blocks(page, "sh", "python", "yaml"):
            if len(printed) == wanted and all(Path(picture.name).exists() for picture in pictures(page)):
                break  # what follows shows nothing
            output = run(block, names)
            if (place := output_of(page, block)) is not None:
                assert folder not in output, f"{page.name}: the output names a folder of this machine:\n{output}"
                printed.append((place, cut(output)))
        if page.read_text(encoding="utf-8") != text:
            raise SystemExit(f"{page} was edited while it ran; run it again")
        for place, output in reversed(printed):
            text = text[: place.start] + output + text[place.end :]
        page.write_text(text, encoding="utf-8")
        page.write_text(stamped(page), encoding="utf-8")
        for name in [name for name in sys.modules if name.startswith("my_")]:
            del sys.modules[name]
        for picture in pictures(page):
            shutil.copy(picture.name, picture)


def run(block: Block, names: dict[str, Any]) -> str:
    """What a block prints, of several commands the last; a block that is a file is written."""
    if block.file is not None:
        Path(block.file).write_text(block.text, encoding="utf-8")
        return ""
    if block.language == "sh":
        return ["", *(command(line) for line in block.commands)][-1]
    if block.language == "yaml":
        return ""
    printed = io.StringIO()
    sys.path.insert(0, os.getcwd())
    with contextlib.redirect_stdout(printed):
        exec(compile(block.text, "<page>", "exec"), names)
    sys.path.pop(0)
    return printed.getvalue()


def command(line: str) -> str:
    """What a command prints, in a plain terminal of a fixed width."""
    if line.startswith("make "):
        return ""
    print(f"$ {line}", flush=True)
    environment = os.environ | {"COLUMNS": str(WIDTH), "TERM": "dumb", "NO_COLOR": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        line, shell=True, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if done.returncode:
        raise SystemExit(f"{line} ended with code {done.returncode}:\n{done.stdout}")
    return done.stdout


def cut(output: str) -> str:
    """An output without spaces at ends of lines, its middle left out where it is long."""
    lines = [line.rstrip() for line in output.strip("\n").splitlines()]
    if len(lines) > LONGEST:
        lines = [*lines[:HEAD], "...", *lines[-TAIL:]]
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="pages; all, if none is named")
    names = parser.parse_args().names
    known = {page.stem: page for page in pages() if shows(page)}
    for name in names or known:
        if name not in known:
            parser.error(f"no page '{name}' shows output; there are {', '.join(known)}")
        print(f"== {name}", flush=True)
        refresh(known[name])


if __name__ == "__main__":
    main()
