"""Images per second and memory of a streamed folder, beside the decoder's own limit.

    python benchmarks/image_folder.py [N] [--size 128] [--batch-size 128] [--train 2m] [--json FILE]

Makes N JPEGs in a temporary folder, then reads one epoch of them in random order twice, each time in a fresh process:
through `vaekit`'s streamed rows, and by PIL alone in the same number of threads, which keeps nothing. Memory is the peak of
the resident set over what it was after `import torch`, threads included; `open` is the time to list the files and read
their headers. With `--train`, the recipe `images` is also trained on the folder, at full size, for so long: then the memory
is that of the whole of training, and the images per second are those of the network.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

BASELINE = "VmRSS"
PEAK = "VmHWM"


def memory(field: str) -> float:
    """A figure of this process in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(field)) / 1024


def make_images(folder: Path, count: int, size: int) -> None:
    """JPEGs of smooth random colours with some noise: about as large as photographs of that size."""
    from PIL import Image

    random = np.random.default_rng(0)
    backgrounds = [
        np.asarray(Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((size, size), 3)).astype(
            np.int16
        )
        for _ in range(64)
    ]

    def make(i: int) -> None:
        noise = np.random.default_rng(i).integers(-16, 17, (size, size, 3), dtype=np.int16)
        x = np.clip(backgrounds[i % 64] + noise, 0, 255).astype(np.uint8)
        Image.fromarray(x).save(folder / f"{i:06}.jpg", quality=85)

    with ThreadPoolExecutor() as pool:
        list(pool.map(make, range(count), chunksize=64))


def read_streamed(folder: Path, size: int, batch_size: int) -> dict[str, float]:
    """One epoch of the streamed rows in random order."""
    base = memory(BASELINE)
    from vaekit.data.images import Images

    start = time.perf_counter()
    rows = Images(str(folder), size=size, validation=0, test=0, memory_mb=0).load().train
    opened = time.perf_counter()
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
    count = sum(len(batch) for batch in rows.batches(order, batch_size))
    seconds = time.perf_counter() - opened
    return {"images_per_second": count / seconds, "memory_mib": memory(PEAK) - base, "open_seconds": opened - start}


def read_plain(folder: Path, size: int, batch_size: int) -> dict[str, float]:
    """The same files in the same number of threads, decoded by PIL into memory that is dropped at once."""
    base = memory(BASELINE)
    from PIL import Image

    from vaekit.data.streamed import available_cores

    files = sorted(folder.iterdir())
    order = torch.randperm(len(files), generator=torch.Generator().manual_seed(0)).tolist()

    def decode(piece: list[int]) -> None:
        for i in piece:
            with Image.open(files[i]) as image:
                image.load()

    start = time.perf_counter()
    with ThreadPoolExecutor(available_cores()) as pool:
        list(pool.map(decode, [order[at : at + batch_size] for at in range(0, len(order), batch_size)]))
    seconds = time.perf_counter() - start
    return {"images_per_second": len(files) / seconds, "memory_mib": memory(PEAK) - base, "open_seconds": 0.0}


def train(folder: Path, size: int, batch_size: int, budget: str) -> dict[str, float]:
    """The recipe `images` on the folder, as `vaekit train images --data FOLDER --time BUDGET` does it."""
    base = memory(BASELINE)
    import vaekit

    overrides = [f"data.size={size}", f"train.time={budget}", "train.epochs=null"]
    with tempfile.TemporaryDirectory() as out:
        start = time.perf_counter()
        run = vaekit.train("images", data=folder, overrides=overrides, out=Path(out) / "run")
        assert type(run.rows("train")).__name__ == "StreamedRows", "the folder fits in memory: nothing to measure"
        pace = max(line["images_per_second"] for line in run.history)
        opened = time.perf_counter() - start - run.info.seconds
    return {"images_per_second": pace, "memory_mib": memory(PEAK) - base, "open_seconds": max(0.0, opened)}


READERS = {"streamed": read_streamed, "plain": read_plain}


def measure(reader: str, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Runs a reader in a process of its own, so that its memory is its own."""
    command = [sys.executable, __file__, "--measure", reader, "--folder", str(folder)]
    command += ["--size", str(options.size), "--batch-size", str(options.batch_size)]
    command += ["--train", options.train] if options.train else []
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    figures: dict[str, float] = json.loads(result.stdout)
    return figures


def main() -> None:
    """Prints a table, and writes it as JSON on request."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("count", nargs="?", type=int, default=50_000)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=128)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--train", metavar="TIME", help="also train for so long, for instance 2m")
    parser.add_argument("--measure", choices=[*READERS, "trained"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        given = (arguments.folder, arguments.size, arguments.batch_size)
        figures = (
            train(*given, arguments.train) if arguments.measure == "trained" else READERS[arguments.measure](*given)
        )
        print(json.dumps(figures))
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_images(folder, arguments.count, arguments.size)
        bytes_each = sum(file.stat().st_size for file in folder.iterdir()) / arguments.count
        readers = [*READERS, *(["trained"] if arguments.train else [])]
        results = {reader: measure(reader, folder, arguments) for reader in readers}
    print(f"{arguments.count} JPEGs of {arguments.size}x{arguments.size}, {bytes_each / 1024:.1f} KiB each, one epoch")
    for reader, figures in results.items():
        print(
            f"  {reader:9} {figures['images_per_second']:8,.0f} images/s   "
            f"peak {figures['memory_mib']:6.0f} MiB over import torch   open {figures['open_seconds']:.1f} s"
        )
    if arguments.json:
        arguments.json.write_text(json.dumps({"count": arguments.count, "kib": bytes_each / 1024, **results}, indent=1))


if __name__ == "__main__":
    main()
