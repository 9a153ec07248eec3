"""Seconds of a fit, and rows a second of a large file.

    python benchmarks/anomaly/speed.py [--rows 1000000]

The default AnomalyDetector on 5,000 rows of 30 columns; then `vaekit detect` on a parquet file of 32 columns, by one run of the
recipe table-anomaly, from the file to the table of verdicts, and how much memory it takes for one and for four times the rows.
Run nothing beside it.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
from record import machine, store

import vaekit

COLUMNS = 32
CHILD = """
import json, re, sys, time
from pathlib import Path
import vaekit
from vaekit.tasks.detect_file import detect_file
run, data, out, score, reasons = sys.argv[1:]

def highest():
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024

run = vaekit.load(run)
detect_file(run, sys.argv[2] + ".warm.parquet", out, score=score, reasons=int(reasons))
before = highest()
begin = time.perf_counter()
found = detect_file(run, data, out, score=score, reasons=int(reasons))
took = time.perf_counter() - begin
after = highest()
print(json.dumps({"rows_per_second": found.n / took, "seconds": took, "before_mib": before, "peak_mib": after}))
"""


def mixed(rows: int, columns: int, random: np.random.Generator) -> np.ndarray:
    """Columns that hang together."""
    causes = np.random.default_rng(7).normal(size=(6, columns))
    return random.normal(size=(rows, 6)) @ causes + 0.3 * random.normal(size=(rows, columns))


def write(path: Path, rows: int) -> None:
    """A parquet file, in row groups of 100,000."""
    random, writer = np.random.default_rng(rows), None
    for start in range(0, rows, 100_000):
        x = mixed(min(100_000, rows - start), COLUMNS, random).astype(np.float32)
        table = arrow.table({f"c{i}": x[:, i] for i in range(COLUMNS)})
        writer = writer or parquet.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer is not None
    writer.close()


def fit_and_score() -> list[str]:
    """Median of three."""
    x, seconds = mixed(5000, 30, np.random.default_rng(0)), []
    for _ in range(3):
        begin = time.perf_counter()
        vaekit.AnomalyDetector(random_state=0).fit(x).score_samples(x)
        seconds.append(time.perf_counter() - begin)
    return ["AnomalyDetector, fit and score, 5,000 × 30", f"**{statistics.median(seconds):.1f} s**", "", ""]


def streamed(run: Path, folder: Path, rows: int, score: str, out: str, reasons: int) -> list[str]:
    """Rows a second, the median of three processes, and the highest memory."""
    data = folder / f"{rows}.parquet"
    if not data.exists():
        write(data, rows)
        write(Path(f"{data}.warm.parquet"), 70_000)
    arguments = [str(run), str(data), str(folder / out), score, str(reasons)]
    found: list[dict[str, Any]] = []
    for _ in range(3):
        made = subprocess.run([sys.executable, "-c", CHILD, *arguments], check=True, capture_output=True, text=True)
        found.append(json.loads(made.stdout.splitlines()[-1]))
    pace = statistics.median(one["rows_per_second"] for one in found)
    print(rows, score, out, reasons, found, flush=True)
    what = f"{rows:,} × {COLUMNS} to {Path(out).suffix}, score {score}" + (f", {reasons} reasons" if reasons else "")
    peak = max(one["peak_mib"] for one in found)
    return [what, f"**{rows / pace:.2f} s**", f"{pace:,.0f}", f"{peak:.0f} MiB"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    body = [["what", "seconds", "rows a second", "peak of memory"], fit_and_score()]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "train.parquet", 20_000)
        vaekit.train("table-anomaly", data=folder / "train.parquet", out=folder / "run", overrides=["train.steps=1000"])
        for rows, score, out, reasons in (
            (options.rows, "elbo", "o.parquet", 0),
            (options.rows, "elbo", "o.parquet", 3),
            (options.rows, "elbo", "o.csv", 3),
            (options.rows, "exemplar+error", "o.parquet", 3),
            (4 * options.rows, "elbo", "o.parquet", 0),
        ):
            body.append(streamed(folder / "run", folder, rows, score, out, reasons))
    text = f"From the file to the table of verdicts; medians of three processes. {machine()}."
    store("speed", {"title": "Speed", "text": text, "rows": body})


if __name__ == "__main__":
    main()
