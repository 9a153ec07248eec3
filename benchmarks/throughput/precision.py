"""Held-out ELBO of the contender MLP in float32 and bfloat16, eager and compiled, over several seeds.

    python benchmarks/throughput/precision.py [--seeds 4] [--data-dir DIR]

One run differs from the next by its seed, and `torch.compile` draws other random numbers than eager torch: a single difference
says little. Each seed trains all four for eight epochs; the differences to eager float32 are averaged over seeds. Writes
precision.json and precision.md beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from pathlib import Path

import ours
import pixels
import torch
from settings import Settings

from vaekit.build import build_model, build_objective
from vaekit.core import DataSpec
from vaekit.data.resident import ResidentRows
from vaekit.engine.fit import fit
from vaekit.engine.runtime import Runtime
from vaekit.engine.validate import held_out
from vaekit.recipes import resolve

HERE = Path(__file__).parent
KINDS = (("float32", False), ("float32", True), ("bfloat16", False), ("bfloat16", True))
SPEC = DataSpec(shape=(1, 28, 28), levels=256)


def elbo(splits: ours.Splits, settings: Settings) -> float:
    """The held-out ELBO after training, in float32, in nats."""
    config = resolve(ours.configuration(settings))
    fitted = fit(build_model(config, SPEC), build_objective(config), splits, config.train)
    return held_out(fitted.model, splits.validation, Runtime.choose("cpu", "float32")).elbo_nats


def main() -> None:
    """Train, compare, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--data-dir", default=os.environ.get("VAEKIT_DATA", ""))
    options = parser.parse_args()
    folder = pixels.find(options.data_dir)
    parts = (torch.from_numpy(part.copy()).reshape(-1, 1, 28, 28) for part in pixels.load(folder, 60_000))
    splits = ours.Splits(*(ResidentRows(part, SPEC) for part in parts))
    found: dict[str, list[float]] = {}
    for seed in range(1, options.seeds + 1):
        for precision, compiled in KINDS:
            settings = Settings(nets="mlp", precision=precision, compile=compiled, epochs=8, seed=seed, data=folder)
            name = f"{precision}{', compile' if compiled else ''}"
            found.setdefault(name, []).append(elbo(splits, settings))
            print(seed, name, round(found[name][-1], 3), flush=True)
    (HERE / "precision.json").write_text(json.dumps(found, indent=1) + "\n")
    (HERE / "precision.md").write_text(table(found))


def table(found: dict[str, list[float]]) -> str:
    """Means, and differences to eager float32 with the standard error over seeds."""
    base = found["float32"]
    lines = [
        "# Precision and held-out ELBO",
        "",
        f"MLP 784-512-16-512-784, 8 epochs of MNIST, {len(base)} seeds; nats per held-out image. Made by "
        "`benchmarks/throughput/precision.py`.",
        "",
        "| | mean | from | to | less float32 |",
        "|---|---|---|---|---|",
    ]
    for name, values in found.items():
        gaps = [value - first for value, first in zip(values, base, strict=True)]
        error = statistics.stdev(gaps) / len(gaps) ** 0.5 if len(gaps) > 1 else float("nan")
        gap = f"{statistics.mean(gaps):+.2f} ± {error:.2f}" if name != "float32" else ""
        lines.append(f"| {name} | {statistics.mean(values):.2f} | {min(values):.2f} | {max(values):.2f} | {gap} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
