"""Images: one digit of MNIST against the others, Fashion-MNIST against MNIST, and MNIST against other things.

    python benchmarks/anomaly/images.py digits [--seeds 1]     ten models, the recipe image-anomaly, one digit each
    python benchmarks/anomaly/images.py fashion                trained on Fashion-MNIST; MNIST is abnormal
    python benchmarks/anomaly/images.py strangers              trained on MNIST; drawn characters, rotated digits, noise

Recipe and score were chosen on training images alone (held-out ones of digits 2, 3, 5 and 8 against those of the others, and
of Fashion-MNIST against MNIST's). The sets lie in VAEKIT_DATA. Results are merged into results.json.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from record import machine, store
from sklearn.metrics import roc_auc_score

import vaekit
from vaekit.data.fashion_mnist import FashionMnist
from vaekit.data.mnist import Mnist

SCORES = ("complexity|code_length|elbo", "complexity", "elbo", "error", "latent_density", "code_length")
Images = dict[str, tuple[np.ndarray, np.ndarray]]


def images(source: Any) -> Images:
    """The published training and test images with their labels."""
    data = source.load()
    found = {}
    for part, splits in (("train", (data.train, data.validation)), ("test", (data.test,))):
        x = torch.cat([rows.gather(torch.arange(len(rows))).x for rows in splits])
        found[part] = (x.numpy(), torch.cat([rows.labels for rows in splits]).numpy())
    return found


def trained(x: np.ndarray, seed: int, epochs: int, folder: str) -> tuple[vaekit.Run, float]:
    """A run of the recipe on some images, and its seconds."""
    begin = time.perf_counter()
    run = vaekit.train(
        "image-anomaly",
        data=x,
        out=Path(folder) / "run",
        overrides=[f"train.seed={seed}", f"data.seed={seed}", f"train.epochs={epochs}", "data.test=0"],
    )
    return run, time.perf_counter() - begin


def judged(run: vaekit.Run, x: np.ndarray, abnormal: np.ndarray, scores: tuple[str, ...] = SCORES) -> dict[str, float]:
    """AUROC of every score."""
    return {name: float(roc_auc_score(abnormal, vaekit.detect(run, x, score=name).scores.numpy())) for name in scores}


def digits(seeds: int) -> dict[str, Any]:
    """Each digit against the nine others, on the test images."""
    known = images(Mnist())
    (x, y), (test, labels) = known["train"], known["test"]
    found: dict[int, list[dict[str, float]]] = {}
    seconds = []
    for seed in range(seeds):
        for digit in range(10):
            with tempfile.TemporaryDirectory() as folder:
                run, took = trained(x[y == digit], seed, 60, folder)
                found.setdefault(digit, []).append(judged(run, test, labels != digit))
            seconds.append(took)
            print(seed, digit, {name: round(value, 4) for name, value in found[digit][-1].items()}, flush=True)
    body = [["score", *map(str, range(10)), "mean"]]
    for name in SCORES:
        each = [statistics.mean(one[name] for one in found[digit]) for digit in range(10)]
        body.append([name, *(f"{value:.3f}" for value in each), f"**{statistics.mean(each):.4f}**"])
    text = (
        f"AUROC on the 10,000 test images, {seeds} seed(s); a model takes {statistics.median(seconds):.0f} s ({machine()}). "
        "The first score is the default for images."
    )
    return {"title": "One digit of MNIST against the nine others", "text": text, "rows": body}


def fashion(seeds: int) -> dict[str, Any]:
    """Fashion-MNIST is normal, MNIST is not."""
    normal, other = images(FashionMnist()), images(Mnist())
    x = np.concatenate([normal["test"][0], other["test"][0]])
    abnormal = np.arange(len(x)) >= len(normal["test"][0])
    found = []
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as folder:
            run, seconds = trained(normal["train"][0], seed, 10, folder)
            found.append(judged(run, x, abnormal))
        print(seed, round(seconds), found[-1], flush=True)
    body = [["score", "AUROC"], *([name, f"{statistics.mean(one[name] for one in found):.4f}"] for name in SCORES)]
    text = f"10,000 test images each, {seeds} seed(s), ten epochs ({seconds:.0f} s). A PNG file's length alone gives .9866."
    return {"title": "Trained on Fashion-MNIST, MNIST is abnormal", "text": text, "rows": body}


def strangers(seeds: int) -> dict[str, Any]:
    """All digits are normal; other characters, turned digits, noise and damage are not."""
    known = images(Mnist())
    test = known["test"][0][:2000]
    random = np.random.default_rng(0)
    others = {
        "strokes like Omniglot's": drawn(2000, random),
        "digits turned by 90°": np.rot90(known["test"][0][2000:4000], axes=(2, 3)),
        "digits turned by 30°": turned(known["test"][0][2000:4000], 30),
        "Fashion-MNIST": images(FashionMnist())["test"][0][:2000],
        "digits with noise (σ = 30 levels)": np.clip(test + random.normal(0, 30, test.shape), 0, 255).astype(np.uint8),
        "digits at half brightness": (known["test"][0][2000:4000] // 2).astype(np.uint8),
        "digits with a 4 × 4 defect": defects(known["test"][0][2000:4000], random)[0],
    }
    with tempfile.TemporaryDirectory() as folder:
        run, seconds = trained(known["train"][0], 0, 10, folder)
        body = [["abnormal", *SCORES]]
        for name, x in others.items():
            both = np.concatenate([test, np.ascontiguousarray(x)])
            found = judged(run, both, np.arange(len(both)) >= len(test))
            body.append([name, *(f"{found[score]:.3f}" for score in SCORES)])
            print(name, found, flush=True)
    text = f"AUROC against 2,000 test digits; one model of all digits, ten epochs ({seconds:.0f} s), seed 0."
    return {"title": "Trained on all digits of MNIST", "text": text, "rows": body}


def drawn(n: int, random: np.random.Generator) -> np.ndarray:
    """Characters that are no digits: two to four smooth strokes of a pen, as in Omniglot, (n, 1, 28, 28)."""
    from PIL import Image, ImageDraw

    found = np.zeros((n, 1, 28, 28), np.uint8)
    for i in range(n):
        sheet = Image.new("L", (112, 112))
        pen = ImageDraw.Draw(sheet)
        for _ in range(random.integers(2, 5)):
            ends = random.uniform(18, 94, size=(4, 2))  # control points of a Bézier curve
            t = np.linspace(0, 1, 24)[:, None]
            curve = (
                (1 - t) ** 3 * ends[0] + 3 * t * (1 - t) ** 2 * ends[1] + 3 * t**2 * (1 - t) * ends[2] + t**3 * ends[3]
            )
            pen.line([tuple(point) for point in curve], fill=255, width=9, joint="curve")
        found[i, 0] = np.asarray(sheet.resize((28, 28), Image.Resampling.LANCZOS))
    return found


def turned(x: np.ndarray, degrees: float) -> np.ndarray:
    """Images turned about their centre."""
    from PIL import Image

    turned = [np.asarray(Image.fromarray(one[0]).rotate(degrees, Image.Resampling.BILINEAR)) for one in x]
    return np.stack(turned)[:, None]


def defects(x: np.ndarray, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Images with a 4 × 4 block that is inverted, and the corners of the blocks, (n, 2)."""
    x, corners = x.copy(), random.integers(2, 22, size=(len(x), 2))
    for one, (i, j) in zip(x, corners, strict=True):
        one[:, i : i + 4, j : j + 4] = 255 - one[:, i : i + 4, j : j + 4]
    return x, corners


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=["digits", "fashion", "strangers"])
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    found = {"digits": digits, "fashion": fashion, "strangers": strangers}[options.part](options.seeds)
    store(f"images-{options.part}", found)


if __name__ == "__main__":
    main()
