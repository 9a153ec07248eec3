"""Speed of training: `vaekit` beside pythae, hand-written PyTorch and hand-written JAX, on the same maths and data.

    python benchmarks/throughput/run.py --peers-python PEERS/bin/python [--data-dir DIR] [--only mlp] [--rounds 8]

Every contender is a fresh process. They take turns of one epoch, A B C … A B C …, and sleep in between, so that a change of
the machine's mood meets all of them; the first epochs, compilation included, are not counted. Figures are medians over the
rounds, and ratios are medians of the ratios within a round. After all epochs each scores the same 10,000 held-out images in
float32. Number of threads and processors are the same for all; memory and arithmetic settings are each contender's own, as
its users get them. MNIST is taken from --data-dir or VAEKIT_DATA; without it the pixels are made up, and the results say so.
Run nothing beside it.

Without --peers-python the peers that are not PyTorch itself are left out (requirements.txt beside this file says what their
environment holds). Writes results.json and results.md beside this file, or into --out.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pixels
from contenders import GROUPS, Entry
from tables import describe_machine, write
from turns import Contender

HERE = Path(__file__).parent


def main() -> None:
    """Run the groups that were asked for, and write the results."""
    options = arguments()
    data = pixels.find(options.data_dir or os.environ.get("VAEKIT_DATA", ""))
    processors = pin(options.threads)
    begin = time.perf_counter()
    results: dict[str, Any] = {
        "machine": describe_machine(options.threads, processors),
        "data": "MNIST" if data else "made-up pixels of MNIST's size",
        "rounds": options.rounds,
        "warm_up": options.warm_up,
    }
    with tempfile.TemporaryDirectory() as scratch:
        for group in options.only:
            results[group] = compete(group, data, options, Path(scratch))
    results["seconds"] = round(time.perf_counter() - begin)
    write(results, options.out)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers-python", help="the interpreter of the environment with pythae and JAX")
    parser.add_argument("--data-dir", help="the folder with MNIST's IDX files, or with mnist/")
    parser.add_argument("--only", nargs="+", choices=sorted(GROUPS), default=["mlp", "conv"])
    parser.add_argument("--rounds", type=int, default=8, help="epochs that count")
    parser.add_argument("--warm-up", type=int, default=2, help="epochs before them")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, help="of one epoch, for a short trial")
    parser.add_argument("--out", type=Path, default=HERE, help="the folder for results.json and results.md")
    return parser.parse_args()


def pin(threads: int) -> int:
    """Keep this process, and those it starts, on as many processors as there are threads; returns how many there are."""
    if sys.platform != "linux":
        return os.cpu_count() or 1
    available = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, available[:threads])
    return len(available)


def compete(group: str, data: str, options: argparse.Namespace, scratch: Path) -> list[dict[str, Any]]:
    """All contenders of a group, in turns; one record each."""
    entries = [entry for entry in GROUPS[group] if options.peers_python or not entry.peer]
    with started(entries, data, options, scratch) as contenders:
        facts = [contender.hear() for contender in contenders]
        seconds: list[list[float]] = [[] for _ in contenders]
        for number in range(options.warm_up + options.rounds):
            for contender, times in zip(contenders, seconds, strict=True):
                times.append(contender.turn()["seconds"])
            show(f"{group}: epoch {number + 1}, {' '.join(f'{times[-1]:.2f}' for times in seconds)} s")
        scores = [contender.turn() for contender in contenders]
    return [
        record(entry, fact, times, score, options)
        for entry, fact, times, score in zip(entries, facts, seconds, scores, strict=True)
    ]


@contextlib.contextmanager
def started(entries: list[Entry], data: str, options: argparse.Namespace, scratch: Path) -> Iterator[list[Contender]]:
    """The processes of a group; whatever happens, they are gone afterwards."""
    contenders: list[Contender] = []
    try:
        contenders.extend(start(entry, data, options, scratch) for entry in entries)
        yield contenders
    finally:
        for contender in contenders:
            contender.close()


def start(entry: Entry, data: str, options: argparse.Namespace, scratch: Path) -> Contender:
    """A fresh process for a contender, with a folder of its own: whatever it compiles, it compiles anew."""
    python = str(Path(options.peers_python).absolute()) if entry.peer else sys.executable
    folder = Path(tempfile.mkdtemp(dir=scratch))
    settings = replace(
        entry.settings,
        data=data,
        epochs=options.warm_up + options.rounds,
        steps=options.steps or entry.settings.steps,
    )
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(options.threads),
        "MKL_NUM_THREADS": str(options.threads),
        "TORCHINDUCTOR_CACHE_DIR": str(folder / "inductor"),
    }
    command = [python, str(HERE / f"{entry.script}.py"), settings.to_json()]
    return Contender(entry.name, command, environment, folder / "log")


def record(
    entry: Entry, facts: dict[str, Any], times: list[float], score: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    """What is stored of one contender."""
    steps = options.steps or entry.settings.steps
    return {
        "name": entry.name,
        **facts,
        "compile": entry.settings.compile,
        "images": replace(entry.settings, steps=steps).images,
        "first_epochs_seconds": [round(value, 4) for value in times[: options.warm_up]],
        "seconds": [round(value, 4) for value in times[options.warm_up :]],
        **score,
    }


def show(text: str) -> None:
    """Progress, on standard error."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
