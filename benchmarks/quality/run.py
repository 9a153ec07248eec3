"""Held-out figures of the shipped recipes: trains each with the command a user would type, evaluates it, and stores both.

    python benchmarks/quality/run.py mnist --seeds 0 1 2
    python benchmarks/quality/run.py mnist-conv
    python benchmarks/quality/run.py cifar10 --data FOLDER      a folder with *train*.npz and *test*.npz

Data sets by name are found as `vaekit train` finds them (VAEKIT_DATA). Times are of whole processes, start-up included.
Results are merged into results.json, and results.md is written anew from it. Run nothing beside it.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
BARS = {
    "mnist": "≤ 86.5 nats in ≤ 150 s",
    "mnist-conv": "≤ 85.0 nats in ≤ 600 s",
    "cifar10": "< 5.90 (PNG), aim 4.62 (WebP) in ≤ 900 s",
}


def vaekit(*arguments: str) -> float:
    """Run a command of the program; returns its seconds, start-up included."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "vaekit", *arguments], check=True)
    return time.perf_counter() - begin


def measure(recipe: str, seed: int, options: argparse.Namespace) -> dict[str, Any]:
    """Train one recipe with one seed, and evaluate it on the whole test split."""
    out = Path(options.runs) / f"{recipe}-{seed}"
    data = ["--data", options.data] if options.data else []
    trained = vaekit("train", recipe, *data, "--set", f"train.seed={seed}", "--out", str(out))
    figures = out / "figures.json"
    evaluated = vaekit("evaluate", str(out), "--samples", str(options.samples), "--json", str(figures))
    epochs = json.loads((out / "log.jsonl").read_text().splitlines()[-1])["epoch"]
    values = json.loads(figures.read_text())
    kept = (
        "importance_weighted_nats",
        "elbo_nats",
        "bits_per_dim",
        "kl_nats",
        "active_units",
        "n",
        "samples",
        "dataset",
    )
    return {
        "recipe": recipe,
        "seed": seed,
        "train_seconds": round(trained, 1),
        "evaluate_seconds": round(evaluated, 1),
        "epochs": epochs,
        "machine": f"{processor()}, {os.cpu_count()} cores",
        **{name: values.get(name) for name in kept},
    }


def lossless(path: Path) -> dict[str, float]:
    """Bits per dimension of PNG and lossless WebP, file by file, on the test images of a folder with a *test*.npz."""
    (file,) = sorted(path.glob("*test*.npz"))
    images = np.load(file)["images"]
    bits = {"png": 0, "webp": 0}
    for image in images:
        for kind, keywords in (("png", {"optimize": True}), ("webp", {"lossless": True, "quality": 100, "method": 6})):
            stream = io.BytesIO()
            Image.fromarray(image).save(stream, kind, **keywords)  # type: ignore[arg-type]
            bits[kind] += 8 * stream.getbuffer().nbytes
    return {kind: total / images.size for kind, total in bits.items()}


def store(rows: list[dict[str, Any]], codecs: dict[str, float] | None) -> None:
    """Merge into results.json, and write results.md."""
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": [], "lossless": {}}
    fresh = {(row["recipe"], row["seed"]) for row in rows}
    stored["rows"] = [row for row in stored["rows"] if (row["recipe"], row["seed"]) not in fresh] + rows
    stored["lossless"] = codecs or stored["lossless"]
    RESULTS.write_text(json.dumps(stored, indent=1) + "\n")
    (HERE / "results.md").write_text(table(stored))


def processor() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def table(stored: dict[str, Any]) -> str:
    """The stored results as Markdown."""
    head = (
        "| recipe | seed | bound (nats) | ELBO (nats) | bits/dim | epochs | training | evaluation | set | machine |\n"
        + "|---" * 10
        + "|\n"
    )
    lines = []
    for row in sorted(stored["rows"], key=lambda row: (row["recipe"], row["seed"])):
        bound, elbo, bits = row["importance_weighted_nats"], row["elbo_nats"], row["bits_per_dim"]
        lines.append(
            f"| {row['recipe']} | {row['seed']} | {bound['mean']:.2f} ± {bound['stderr']:.2f} | {elbo['mean']:.2f} | "
            f"{bits['mean']:.3f} | {row['epochs']} | {row['train_seconds']:.0f} s | {row['evaluate_seconds']:.0f} s | "
            f"{row['dataset']}, n = {bound['n']}, K = {row['samples']} | {row['machine']} |"
        )
    notes = [f"- {name}: asked for {bar}; {summary(stored, name)}" for name, bar in BARS.items()]
    if stored["lossless"]:
        codecs = ", ".join(f"{kind} {value:.2f}" for kind, value in stored["lossless"].items())
        notes.append(f"- bits per dimension of lossless codecs on the same test images: {codecs}")
    return "# Held-out figures of the recipes\n\n" + head + "\n".join(lines) + "\n\n" + "\n".join(notes) + "\n"


def summary(stored: dict[str, Any], recipe: str) -> str:
    """The median over the seeds, with their spread."""
    key = "bits_per_dim" if recipe == "cifar10" else "importance_weighted_nats"
    values = [abs(row[key]["mean"]) for row in stored["rows"] if row["recipe"] == recipe]
    if not values:
        return "not run"
    return f"median {statistics.median(values):.2f} of {len(values)} seeds ({min(values):.2f} to {max(values):.2f})"


def main() -> None:
    """Parse, measure, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", choices=list(BARS))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--data", help="instead of the recipe's data")
    parser.add_argument("--runs", default="runs/quality", help="where the runs are kept")
    options = parser.parse_args()
    codecs = lossless(Path(options.data)) if options.recipe == "cifar10" and options.data else None
    for seed in options.seeds:
        store([measure(options.recipe, seed, options)], codecs)
        print((HERE / "results.md").read_text())


if __name__ == "__main__":
    main()
