"""The tables of the throughput benchmark."""

from __future__ import annotations

import json
import os
import platform
from pathlib import Path
from statistics import median
from typing import Any

from contenders import PAIRS, PRECISIONS, SAME, Pair

TITLES = {
    "mlp": "MLP 784-512-16-512-784, ReLU, 128 images a step",
    "conv": "Convolutional networks (32 and 64 channels), 28×28, 128 images a step",
}


def describe_machine(threads: int, processors: int) -> dict[str, Any]:
    """What the figures depend on, and nothing that names the machine."""
    return {
        "processor": processor(),
        "processors": processors,
        "threads": threads,
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "system": platform.system(),
        "python": platform.python_version(),
        "load": round(os.getloadavg()[0], 2),
    }


def processor() -> str:
    """The model of the processor, and which of its instructions matter here."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return platform.processor() or platform.machine()
    fields = dict(line.split(":", 1) for line in path.read_text().split("\n\n")[0].splitlines() if ":" in line)
    values = {key.strip(): value.strip() for key, value in fields.items()}
    model = values.get("model name", platform.machine())
    family = f" (family {values.get('cpu family', '?')}, model {values.get('model', '?')})"
    wanted = [
        name for name in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if name in values.get("flags", "").split()
    ]
    return model + family + (f" with {', '.join(wanted)}" if wanted else "")


def write(results: dict[str, Any], folder: Path) -> None:
    """results.json, and results.md made from it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    text = render(results)
    (folder / "results.md").write_text(text, encoding="utf-8")
    print(text)


def render(results: dict[str, Any]) -> str:
    """All of it as Markdown."""
    machine = results["machine"]
    lines = [
        "# Speed of training",
        "",
        f"{machine['processor']}; {machine['threads']} of {machine['processors']} processors, {machine['memory_gib']} GiB; "
        f"{machine['system']}, Python {machine['python']}; {versions(results)}. Load at the start {machine['load']}.",
        f"Data: {results['data']}. {results['rounds']} epochs counted after {results['warm_up']}, in turns; medians. "
        "Compilation is what the first epoch took longer than the others. ELBO of 10,000 held-out images after all epochs, "
        "one sample each, in float32. The whole run took "
        f"{results['seconds'] // 60} min {results['seconds'] % 60} s. Made by `benchmarks/throughput/run.py`.",
    ]
    for group, title in TITLES.items():
        if group in results:
            lines += ["", f"## {title}", "", *figures(results[group]), "", *ratios(results[group], PAIRS[group])]
    return "\n".join(lines) + "\n"


def versions(results: dict[str, Any]) -> str:
    """The versions of PyTorch and JAX that took part."""
    found = {
        (name, entry[key])
        for group in TITLES
        for entry in results.get(group, [])
        for name, key in (("PyTorch", "torch"), ("JAX", "jax"))
        if key in entry
    }
    return ", ".join(f"{name} {version}" for name, version in sorted(found, reverse=True))


def figures(entries: list[dict[str, Any]]) -> list[str]:
    """One line a contender."""
    lines = [
        "| loop | precision | images/s | ms a step | slowest and fastest epoch | compilation | held-out ELBO, nats |",
        "|---|---|---|---|---|---|---|",
    ]
    for entry in entries:
        usual, steps = median(entry["seconds"]), entry["images"] / 128
        first = entry["first_epochs_seconds"][0] - usual if entry["first_epochs_seconds"] else 0.0
        compiled = f"{first:.1f} s" if entry["compile"] or "jax" in entry else "–"
        lines.append(
            f"| {entry['name']} | {entry['precision']} | {entry['images'] / usual:,.0f} | {1000 * usual / steps:.2f} "
            f"| {entry['images'] / max(entry['seconds']):,.0f} – {entry['images'] / min(entry['seconds']):,.0f} "
            f"| {compiled} | {entry['elbo_nats']:.2f} ± {entry['stderr']:.2f} |"
        )
    return lines


def ratios(entries: list[dict[str, Any]], pairs: list[Pair]) -> list[str]:
    """One line a comparison, as far as both took part; then whether reduced precision learns as well."""
    known = {entry["name"]: entry for entry in entries}
    lines = ["| comparison | images/s, times | asked | |", "|---|---|---|---|"]
    for pair in pairs:
        if pair.one in known and pair.other in known:
            value = speedup(known[pair.one], known[pair.other])
            met = "" if pair.bar is None else "met" if value >= pair.bar else "missed"
            asked = "" if pair.bar is None else f"≥ {pair.bar:.2f}"
            lines.append(f"| {pair.one} : {pair.other} | {value:.2f} | {asked} | {met} |")
    for one, other in PRECISIONS.items():
        if one in known and other in known:
            apart = known[one]["elbo_nats"] - known[other]["elbo_nats"]
            met = "met" if abs(apart) <= SAME else "missed"
            lines.append(f"| ELBO, {one} − {other} | {apart:+.2f} nats | within {SAME} | {met} |")
    return lines


def speedup(one: dict[str, Any], other: dict[str, Any]) -> float:
    """How many times as many images a second: the median of the rounds' ratios."""
    rates = [
        (one["images"] / mine) / (other["images"] / theirs)
        for mine, theirs in zip(one["seconds"], other["seconds"], strict=True)
    ]
    return median(rates)
