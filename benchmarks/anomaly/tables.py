"""Tables of ADBench by its published protocol: ours beside PyOD's detectors, on the same splits in the same run.

    python benchmarks/anomaly/tables.py choosing [--seeds 5]    the eleven tables on which the default was chosen
    python benchmarks/anomaly/tables.py judging [--seeds 5]     the eleven others, looked at when it had been chosen

Half of the normal rows are for training, the other half and all anomalies for testing; columns are standardized by the
training part. One setting for all tables. The tables lie in VAEKIT_DATA/adbench, or in --data. Results are merged into
results.json, and results.md is written anew from it. Run nothing beside it where seconds matter.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from record import machine, store, stored
from sklearn.metrics import average_precision_score, roc_auc_score

import vaekit

Arrays = tuple[np.ndarray, np.ndarray, np.ndarray]


def names(folder: Path, part: str) -> list[str]:
    """The tables in alphabetical order without regard to case: the first eleven choose, the others judge."""
    known = sorted((path.stem for path in folder.glob("*.npz")), key=str.lower)
    return known[:11] if part == "choosing" else known[11:]


def split(folder: Path, name: str, seed: int) -> Arrays:
    """Training rows, test rows, and which of these are abnormal."""
    stored = np.load(folder / f"{name}.npz")
    x, y = stored["X"].astype(np.float64), stored["y"].astype(int)
    normal = np.flatnonzero(y == 0)
    np.random.RandomState(seed).shuffle(normal)
    half = len(normal) // 2
    test = np.concatenate([normal[half:], np.flatnonzero(y == 1)])
    mean, scale = x[normal[:half]].mean(0), x[normal[:half]].std(0)
    scale[scale == 0] = 1
    return (x[normal[:half]] - mean) / scale, (x[test] - mean) / scale, y[test]


def ours(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """The default detector."""
    return -vaekit.AnomalyDetector(random_state=seed).fit(train).score_samples(test)


def of_pyod(module: str, kind: str, **settings: Any) -> Callable[[np.ndarray, np.ndarray, int], np.ndarray]:
    """A detector of PyOD with its defaults, but for `settings`."""

    def scores(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
        made = getattr(__import__(f"pyod.models.{module}", fromlist=[kind]), kind)
        seeded = {"random_state": seed} if module in ("iforest", "pca", "vae") else {}
        if module == "vae":
            seeded["verbose"] = 0
        return made(**settings, **seeded).fit(train).decision_function(test)

    return scores


def alone(train: np.ndarray, test: np.ndarray, seed: int) -> np.ndarray:
    """One model, as `vaekit detect` has it from one run of the recipe table-anomaly."""
    return -vaekit.AnomalyDetector(n_models=1, steps=3000, random_state=seed).fit(train).score_samples(test)


CONTENDERS: dict[str, Callable[[np.ndarray, np.ndarray, int], np.ndarray]] = {
    "vaekit": ours,
    "one model": alone,
    "KNN (k = 5)": of_pyod("knn", "KNN", n_neighbors=5),
    "LOF": of_pyod("lof", "LOF"),
    "IForest": of_pyod("iforest", "IForest"),
    "PCA": of_pyod("pca", "PCA"),
    "ECOD": of_pyod("ecod", "ECOD"),
    "PyOD's VAE": of_pyod("vae", "VAE"),
}


def measured(folder: Path, name: str, contender: str, seeds: int) -> dict[str, Any]:
    """AUROC, average precision and seconds of every seed."""
    found: dict[str, list[float]] = {"auroc": [], "average_precision": [], "seconds": []}
    for seed in range(seeds):
        train, test, abnormal = split(folder, name, seed)
        begin = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            scores = np.asarray(CONTENDERS[contender](train, test, seed), dtype=np.float64)
        scores = np.nan_to_num(scores, nan=1e300, posinf=1e300, neginf=-1e300)  # what is no number is the most abnormal
        found["seconds"].append(round(time.perf_counter() - begin, 2))
        found["auroc"].append(float(roc_auc_score(abnormal, scores)))
        found["average_precision"].append(float(average_precision_score(abnormal, scores)))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["choosing", "judging"])
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("VAEKIT_DATA", ".")) / "adbench")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--only", nargs="*", choices=list(CONTENDERS), default=list(CONTENDERS))
    options = parser.parse_args()
    tables: dict[str, Any] = {}
    for name in names(options.data, options.part):
        tables[name] = {contender: measured(options.data, name, contender, options.seeds) for contender in options.only}
        line = "  ".join(f"{key} {100 * statistics.mean(value['auroc']):.1f}" for key, value in tables[name].items())
        print(f"{name:18} {line}", flush=True)
    for contender in options.only:
        each = [statistics.mean(found[contender]["auroc"]) for found in tables.values()]
        print(f"{contender:18} mean AUROC {100 * statistics.mean(each):.2f}")
    key = f"tables-{options.part}"
    known = stored(key)
    if known.get("seeds") == options.seeds:  # these contenders anew, the others as they were
        tables = {name: known["tables"][name] | found for name, found in tables.items()}
    store(key, {"machine": machine(), "seeds": options.seeds, "tables": tables})


if __name__ == "__main__":
    main()
