"""What abnormal rows among the training rows cost, and what saying so gives back.

    python benchmarks/anomaly/robust.py [--seeds 3]

Of the choosing tables: half of the normal rows and so many of the anomalies that they are a tenth of the training rows, where
there are enough; the rest is for testing. `AnomalyDetector()` beside `AnomalyDetector(contamination=0.1)`, and the same
training rows without the anomalies.
"""

from __future__ import annotations

import argparse
import os
import statistics
from pathlib import Path
from typing import Any

import numpy as np
from record import machine, store
from sklearn.metrics import roc_auc_score
from tables import names, split

import vaekit

SHARE = 0.1


def spoilt(folder: Path, name: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray] | None:
    """Clean training rows, the same with anomalies among them, test rows, and which of these are abnormal."""
    train, test, abnormal = split(folder, name, seed)
    found = np.flatnonzero(abnormal == 1)
    count = round(len(train) * SHARE / (1 - SHARE))
    if len(found) < 2 * count:
        return None
    among = np.random.RandomState(seed).choice(found, count, replace=False)
    rest = np.setdiff1d(np.arange(len(test)), among)
    return train, np.concatenate([train, test[among]]), test[rest], abnormal[rest]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("VAEKIT_DATA", ".")) / "adbench")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    body: list[list[Any]] = [["table", "clean training rows", "a tenth abnormal", "the same, said so"]]
    columns: list[list[float]] = []
    for name in names(options.data, "choosing"):
        cases = [case for seed in range(options.seeds) if (case := spoilt(options.data, name, seed)) is not None]
        if not cases:
            continue
        found = []
        for seed, (clean, dirty, test, abnormal) in enumerate(cases):
            settings = ((clean, "auto"), (dirty, "auto"), (dirty, SHARE))
            made = [vaekit.AnomalyDetector(contamination=told, random_state=seed).fit(rows) for rows, told in settings]
            found.append([float(roc_auc_score(abnormal, -one.score_samples(test))) for one in made])
        columns.append([statistics.mean(column) for column in zip(*found, strict=True)])
        body.append([name, *(f"{100 * value:.1f}" for value in columns[-1])])
        print(body[-1], flush=True)
    body.append(["**mean**", *(f"**{100 * statistics.mean(column):.2f}**" for column in zip(*columns, strict=True))])
    text = f"AUROC in percent of the default detector, {options.seeds} seeds; {machine()}."
    store("robust", {"title": "Abnormal rows among the training rows", "text": text, "rows": body})


if __name__ == "__main__":
    main()
