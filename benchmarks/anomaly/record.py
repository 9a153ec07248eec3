"""Where the results of detection are kept: results.json, and results.md made of it."""

from __future__ import annotations

import json
import os
import platform
import statistics
from pathlib import Path
from typing import Any

import torch

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"


def machine() -> str:
    """What the figures were made on."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    return f"{os.cpu_count()} cores of {model}, torch {torch.__version__.split('+')[0]}"


def stored(key: str) -> dict[str, Any]:
    """What is known under a key; empty if nothing."""
    known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    return dict(known.get(key, {}))


def store(key: str, values: Any) -> None:
    """Merge into results.json, and write results.md anew."""
    known = json.loads(RESULTS.read_text()) if RESULTS.is_file() else {}
    RESULTS.write_text(json.dumps(known | {key: values}, indent=1) + "\n")
    (HERE / "results.md").write_text(page(known | {key: values}))


def page(found: dict[str, Any]) -> str:
    """The results as a page."""
    parts = ["# Detection", "", "Made by `make bench-anomaly`; the scripts in this folder say what each figure is.", ""]
    for key in ("tables-judging", "tables-choosing"):
        if key in found:
            parts += tables(key, found[key])
    for key in ("images-digits", "images-fashion", "images-strangers", "reasons", "speed"):
        if key in found:
            parts += [f"## {found[key]['title']}", "", found[key]["text"], "", *rows(found[key]["rows"]), ""]
    return "\n".join(parts)


def tables(key: str, found: dict[str, Any]) -> list[str]:
    """Mean AUROC of every detector on every table, in percent, and the spread over seeds of the mean."""
    first = next(iter(found["tables"].values()))
    contenders = [name for name in ("vaekit", "one model", *first) if name in first]
    contenders = list(dict.fromkeys(contenders))
    mean = {
        contender: [
            statistics.mean(table[contender]["auroc"][seed] for table in found["tables"].values())
            for seed in range(found["seeds"])
        ]
        for contender in contenders
    }
    head = (
        "The eleven tables on which the default was judged"
        if key.endswith("judging")
        else "The eleven on which it was chosen"
    )
    what = f"AUROC in percent, means over {found['seeds']} seeds; {found['machine']}. The one model has 3,000 steps."
    lines = [f"## {head}", "", what, ""]
    body = [["table", *contenders]]
    for name, table in found["tables"].items():
        body.append([name, *(f"{100 * statistics.mean(table[contender]['auroc']):.1f}" for contender in contenders)])
    body.append(["**mean**", *(f"**{100 * statistics.mean(mean[contender]):.2f}**" for contender in contenders)])
    if found["seeds"] > 1:
        body.append(
            ["deviation of the mean over seeds", *(f"{100 * statistics.stdev(mean[c]):.2f}" for c in contenders)]
        )
    precision = [
        statistics.mean(statistics.mean(t[c]["average_precision"]) for t in found["tables"].values())
        for c in contenders
    ]
    body.append(["mean average precision", *(f"{100 * value:.1f}" for value in precision)])
    seconds = [max(statistics.median(t[c]["seconds"]) for t in found["tables"].values()) for c in contenders]
    body.append(["seconds, the slowest table", *(f"{value:.1f}" for value in seconds)])
    note = (
        "Where PyOD's PCA has 50.0, its scores are no numbers: it divides by the variance of directions that have none."
    )
    if key.endswith("judging"):
        note = "The first judgement was 89.79, before corrections that these tables had no part in."
    return [*lines, *rows(body), "", note, ""]


def rows(body: list[list[str]]) -> list[str]:
    """A Markdown table; the first row is the header."""
    head, *rest = ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in body]
    return [head, "|" + "---|" * len(body[0]), *rest]
