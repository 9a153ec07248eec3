"""The tutorials: from percent-format text to an executed notebook.

    python docs/tools/notebooks.py                       # all of them in full; writes the .ipynb beside the .py
    python docs/tools/notebooks.py 1_vae_from_scratch    # one of them
    python docs/tools/notebooks.py --smoke               # quickly, as the tests do; writes nothing

A size that takes long stands in an assignment of its own, which says what the tests take instead:
`EPOCHS = 300  # in tests: 3`.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

FOLDER = Path(__file__).parents[1] / "notebooks"
_SIZE = re.compile(r"^(\w+ = )(.*?)  # in tests: (.*)$", re.M)


def sources() -> list[Path]:
    """The notebooks' texts, in order."""
    return sorted(FOLDER.glob("*.py"))


def read(source: Path, smoke: bool = False) -> NotebookNode:
    """A notebook without outputs, with the sizes of the full run or of the tests."""
    notebook = jupytext.read(source, fmt="py:percent")
    notebook.metadata = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # jupytext draws one at random
        cell["metadata"] = {}
        if cell.cell_type == "code":
            cell.source = _SIZE.sub(r"\1\3" if smoke else r"\1\2", cell.source)
    return notebook


def execute(notebook: NotebookNode, folder: Path, timeout: int = 900) -> NotebookNode:
    """Run all cells in a folder; raises `nbclient.exceptions.CellExecutionError` at the first that fails."""
    os.environ.setdefault("PYDEVD_DISABLE_FILE_VALIDATION", "1")  # else the kernel warns about its own debugger
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=timeout, resources=resources, record_timing=False, coalesce_streams=True)
    client.execute()
    for output in (output for cell in notebook.cells for output in cell.get("outputs", [])):
        output.get("data", {}).pop("image/jpeg", None)  # a second copy, which Pillow offers beside the PNG
    return notebook


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="all, if none is named")
    parser.add_argument("--smoke", action="store_true", help="quickly, and write nothing")
    options = parser.parse_args()
    known = {source.stem: source for source in sources()}
    total = 0.0
    for name in options.names or known:
        if name not in known:
            parser.error(f"there is no notebook '{name}'; there are {', '.join(known)}")
        begin = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            done = execute(read(known[name], options.smoke), Path(folder))
        if not options.smoke:
            nbformat.write(done, known[name].with_suffix(".ipynb"))
        took = time.perf_counter() - begin
        total += took
        print(f"{name}: {took:.0f} s", flush=True)
    print(f"together {total:.0f} s")


if __name__ == "__main__":
    main()
