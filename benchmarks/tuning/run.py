"""Whether a search finds more than chance: `vaekit tune digits` beside a random search with the same time.

    python benchmarks/tuning/run.py [--time 5m] [--seeds 3]

The figure is the held-out (validation) ELBO of the best trial; each search has its own directory and seed, the recipe is the
first trial of all of them. Results go to results.json and results.md. Run nothing beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any, get_args

import vaekit
from vaekit.schedules import seconds
from vaekit.tasks.study import Sampler

HERE = Path(__file__).parent


def searched(sampler: Any, seed: int, budget: str) -> dict[str, Any]:
    """One search."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        found = vaekit.tune("digits", time=budget, sampler=sampler, seed=seed, out=Path(folder) / "study")
        took = time.perf_counter() - begin
    states = [trial.state for trial in found.trials]
    recipe = found.recipe.value if found.recipe is not None else None
    result = {"best": found.best.value, "recipe": recipe, "seconds": round(took, 1), "trials": len(states)}
    result |= {state: states.count(state) for state in ("complete", "pruned", "failed")}
    print(sampler, seed, result, flush=True)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--time", default="5m")
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    found: dict[str, list[dict[str, Any]]] = {sampler: [] for sampler in get_args(Sampler)}
    for seed in range(options.seeds):
        for sampler, results in found.items():
            results.append(searched(sampler, seed, options.time))
    (HERE / "results.json").write_text(json.dumps({"time": options.time, "searches": found}, indent=1) + "\n")
    machine = f"{os.cpu_count()} cores of {platform.processor() or platform.machine()}"
    lines = ["# Search", "", f"`vaekit tune digits --time {options.time}`, {options.seeds} seeds; {machine}.", ""]
    lines += [
        "| sampler | best held-out ELBO, each seed | median | recipe | trials | seconds over the budget, at most |"
    ]
    lines += ["|---|---|---|---|---|---|"]
    for sampler, results in found.items():
        values = [result["best"] for result in results]
        over = max(result["seconds"] for result in results) - seconds(options.time)
        trials = ", ".join(f"{result['complete']} + {result['pruned']} stopped" for result in results)
        recipe = statistics.median(result["recipe"] for result in results)
        shown = ", ".join(f"{value:.2f}" for value in values)
        lines.append(
            f"| {sampler} | {shown} | **{statistics.median(values):.2f}** | {recipe:.2f} | {trials} | {over:.1f} |"
        )
    (HERE / "results.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
