"""Whether what is planted is what is pointed at: a 4 × 4 defect in an image, one wrong column in a row.

    python benchmarks/anomaly/reasons.py

Images: test digits of MNIST with an inverted block, a model of all digits: the share whose most surprising pixel lies in the
block. Tables: test rows that are normal, one column moved by 5 of its standard deviations up
or down; the share whose first reason is that column. The eleven choosing tables (their constant columns apart).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from images import defects, images, trained
from record import machine, store
from tables import names, split

import vaekit
from vaekit.data.mnist import Mnist

MOVED = (3.0, 5.0)  # standard deviations


def of_images() -> list[str]:
    """The share of defects that hold the most surprising pixel."""
    known = images(Mnist())
    x, corners = defects(known["test"][0][:1000], np.random.default_rng(0))
    with tempfile.TemporaryDirectory() as folder:
        run, seconds = trained(known["train"][0], 0, 10, folder)
        heat = vaekit.attribute(run, x).nats.flatten(1).argmax(1).numpy()
    i, j = heat // 28 - corners[:, 0], heat % 28 - corners[:, 1]
    share = ((i >= 0) & (i < 4) & (j >= 0) & (j < 4)).mean()
    print(f"images {share:.3f} ({seconds:.0f} s of training)", flush=True)
    return ["4 × 4 defect in 1,000 test digits", f"**{100 * share:.1f}**", ""]


def of_table(folder: Path, name: str) -> list[str]:
    """The share of wrong columns that come first, for both sizes."""
    train, test, abnormal = split(folder, name, 0)
    detector = vaekit.AnomalyDetector(random_state=0).fit(train)
    random = np.random.default_rng(0)
    rows = test[abnormal == 0][:500]
    alive = np.flatnonzero(train.std(0) > 0)
    column, sign = random.choice(alive, len(rows)), random.choice([-1.0, 1.0], len(rows))
    found = []
    for moved in MOVED:
        wrong = rows.copy()
        wrong[np.arange(len(rows)), column] += moved * sign
        first = detector.explain(wrong, n_columns=1).column[:, 0].numpy()
        found.append(float((first == column).mean()))
    print(f"{name:18} {found}", flush=True)
    return [name, *(f"{100 * share:.1f}" for share in found)]


def main() -> None:
    folder = Path(os.environ.get("VAEKIT_DATA", ".")) / "adbench"
    body: list[list[Any]] = [["", "first, percent; 3 deviations", "5 deviations"]]
    each = [of_table(folder, name) for name in names(folder, "choosing")]
    means = [f"**{np.mean([float(row[i]) for row in each]):.1f}**" for i in (1, 2)]
    body += [*each, ["mean of the tables", *means]]
    image = of_images()
    body.append([image[0], "", image[1]])
    text = (
        f"One column of a normal row is wrong, or a block of an image: how often that is pointed at first. {machine()}."
    )
    store("reasons", {"title": "Reasons", "text": text, "rows": body})


if __name__ == "__main__":
    main()
