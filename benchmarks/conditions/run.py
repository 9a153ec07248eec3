"""What conditions are worth on MNIST: bounds, obedience, variety, and whether generated digits help a classifier.

    python benchmarks/conditions/run.py bounds [--samples 512]     train and evaluate mnist-conditional and mnist
    python benchmarks/conditions/run.py digits                     10,000 generated digits, judged by a classifier
    python benchmarks/conditions/run.py augment [--seeds 5]        20 real digits a class, and 500 generated from them

MNIST is found as `vaekit train` finds it (VAEKIT_DATA). `digits` judges the run that `bounds` trained. The judge is a small
convolutional network, trained on real training images alone (grey ones, and binarized ones for draws). Results are merged
into results.json, and results.md is written anew from it. Run nothing beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import vaekit

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"
RUNS = HERE.parents[1] / "runs" / "conditions"


def command(*arguments: str) -> float:
    """Run a command of the program; returns its seconds, start-up included."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "vaekit", *arguments], check=True)
    return time.perf_counter() - begin


# --- bounds ----------------------------------------------------------------------------------------------------------


def bounds(options: argparse.Namespace) -> dict[str, Any]:
    """Both recipes, trained and evaluated by the command line."""
    found: dict[str, Any] = {}
    for recipe in ("mnist-conditional", "mnist"):
        out, figures = RUNS / recipe, RUNS / f"{recipe}.json"
        trained = command("train", recipe, "--out", str(out), "--quiet")
        command("evaluate", str(out), "--samples", str(options.samples), "--json", str(figures))
        values = json.loads(figures.read_text())
        found[recipe] = {
            "train_seconds": round(trained, 1),
            "evaluate_seconds": values["seconds"],
            "samples": values["samples"],
            "bound": values["importance_weighted_nats"],
            "elbo": values["elbo_nats"],
            "by_class": values["by_class"],
        }
    return found


# --- a judge ---------------------------------------------------------------------------------------------------------


class Judge(nn.Module):
    """A small convolutional classifier of 28×28 images in [0, 1]."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Dropout(0.3), nn.Linear(2 * width * 49, 10),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """(n, 1, 28, 28) → logits (n, 10)."""
        found: Tensor = self.layers(x)
        return found


def affine(x: Tensor) -> Tensor:
    """Every image turned by up to 12°, scaled by up to a tenth and shifted by up to two pixels."""
    n = len(x)
    angle = (torch.rand(n) - 0.5) * 2 * 0.21
    scale = 1 + (torch.rand(n) - 0.5) * 0.2
    shift = (torch.rand(n, 2) - 0.5) * 4 / 14
    cos, sin = torch.cos(angle) * scale, torch.sin(angle) * scale
    matrix = torch.stack([torch.stack([cos, -sin, shift[:, 0]], 1), torch.stack([sin, cos, shift[:, 1]], 1)], 1)
    return F.grid_sample(x, F.affine_grid(matrix, list(x.shape), align_corners=False), align_corners=False)


def fitted(x: Tensor, y: Tensor, steps: int, *, moved: bool, binary: bool = False, batch: int = 128) -> Judge:
    """A judge trained on images (n, 1, 28, 28) in [0, 1] for so many steps."""
    judge = Judge().train()
    optimizer = torch.optim.AdamW(judge.parameters(), lr=3e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(x), (batch,))
        images = affine(x[rows]) if moved else x[rows]
        images = torch.bernoulli(images.clamp(0, 1)) if binary else images
        loss = F.cross_entropy(judge(images), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return judge.eval()


@torch.no_grad()
def predicted(judge: Judge, x: Tensor) -> Tensor:
    """Class numbers, (n,)."""
    return torch.cat([judge(part).argmax(1) for part in x.split(1000)])


def real(split: str) -> tuple[Tensor, Tensor]:
    """Images in [0, 1] and labels of MNIST's own training (validation included) or test split."""
    from vaekit.data.mnist import Mnist

    data = Mnist(validation=0).load()
    rows = data.split(split)  # type: ignore[arg-type]
    batch = rows.gather(torch.arange(len(rows)))
    assert isinstance(batch.x, Tensor) and rows.labels is not None
    return batch.x.float() / 255, rows.labels


# --- digits ----------------------------------------------------------------------------------------------------------


def digits(options: argparse.Namespace) -> dict[str, Any]:
    """10,000 digits under all labels, and 10,000 without: what a judge makes of them."""
    torch.manual_seed(0)
    (x, y), (x_test, y_test) = real("train"), real("test")
    run = vaekit.load(RUNS / "mnist-conditional")
    found: dict[str, Any] = {}
    for pixels in ("mean", "sample"):
        binary = pixels == "sample"
        judge = fitted(x, y, 2500, moved=True, binary=binary)
        seen = torch.bernoulli(x_test) if binary else x_test
        asked = vaekit.generate(run, 1000, pixels=pixels, condition={"label": "all"}, same=False)
        free = {
            "nothing asked for": vaekit.generate(run, 10_000, pixels=pixels, seed=1),
            "label hidden": vaekit.generate(run, 10_000, pixels=pixels, seed=1, condition={"label": "unknown"}),
        }
        made, labels = in_unit(asked.images), asked.context["label"]
        answer, shares = predicted(judge, made), torch.bincount(y, minlength=10) / len(y)
        given = {
            name: torch.bincount(predicted(judge, in_unit(one.images)), minlength=10) / 10_000
            for name, one in free.items()
        }
        data = torch.bernoulli(x) if binary else x
        variety = [(variance(made[labels == k]) / variance(data[y == k])).item() for k in range(10)]
        found[pixels] = {
            "judge_accuracy": (predicted(judge, seen) == y_test).double().mean().item(),
            "agreement": (answer == labels).double().mean().item(),
            "agreement_by_class": [(answer == labels)[labels == k].double().mean().item() for k in range(10)],
            "variance_ratio_by_class": variety,
            "shares_without_context": {name: one.tolist() for name, one in given.items()},
            "largest_gap_of_shares": {name: (one - shares).abs().max().item() for name, one in given.items()},
        }
    return found


def in_unit(x: Tensor) -> Tensor:
    """Generated levels → [0, 1]."""
    return (x / 255).clamp(0, 1)


def variance(x: Tensor) -> Tensor:
    """The variance over images, summed over pixels, ()."""
    return x.flatten(1).var(0).sum()


# --- augmentation ----------------------------------------------------------------------------------------------------


def augment(options: argparse.Namespace) -> dict[str, Any]:
    """Accuracy on the test set of a small classifier trained on 20 real digits a class and what is made of them."""
    (x, y), (x_test, y_test) = real("train"), real("test")
    rows: list[dict[str, float]] = []
    for seed in range(options.seeds):
        torch.manual_seed(seed)
        some = torch.cat([(y == k).nonzero()[:, 0][torch.randperm(int((y == k).sum()))[:20]] for k in range(10)])
        few, names = x[some], y[some]
        made, labels = generated(few, names, seed)
        # Half of a classifier's batches are the real digits, over and over.
        more, both = torch.cat([few.repeat(25, 1, 1, 1), made]), torch.cat([names.repeat(25), labels])
        sets = {
            "real": (few, names, False),
            "real, affine": (few, names, True),
            "real and generated": (more, both, False),
            "real and generated, affine": (more, both, True),
        }
        row = {}
        for name, (images, classes, moved) in sets.items():
            torch.manual_seed(seed)
            judge = fitted(images, classes, 600, moved=moved, batch=64)
            row[name] = (predicted(judge, x_test) == y_test).double().mean().item()
        print(seed, {name: round(value, 4) for name, value in row.items()}, flush=True)
        rows.append(row)
    return {"seeds": options.seeds, "accuracy": {name: [row[name] for row in rows] for name in rows[0]}}


def generated(x: Tensor, y: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """500 digits a class from a model that has seen these 200 alone, turned, scaled and shifted."""
    settings = [
        "model.latent=16", "train.time=null", "train.epochs=40", "train.batch_size=100", "train.lr=1e-3",
        "train.validate_every=20", "data.validation=20", "data.test=0", "objective.warmup=400", "data.levels=256",
        f"train.seed={seed}",
    ]  # fmt: skip
    torch.manual_seed(seed)
    x, y = torch.cat([x, *(affine(x) for _ in range(59))]), y.repeat(60)
    levels = (x * 255).round().clamp(0, 255).byte().numpy()
    out = RUNS / f"augment-{seed}-{os.getpid()}"
    run = vaekit.train("mnist-conditional", data=(levels, y.numpy()), overrides=settings, out=out)
    made = vaekit.generate(run, 500, condition={"label": "all"}, same=False, seed=seed)
    return in_unit(made.images), made.context["label"]


# --- results ---------------------------------------------------------------------------------------------------------


def table(stored: dict[str, Any]) -> str:
    """The stored results as Markdown."""
    lines = ["# Conditions on MNIST", ""]
    if found := stored.get("bounds"):
        c, u = found["mnist-conditional"], found["mnist"]
        classes = c["by_class"]
        lines += [
            f"Bounds on all test images, K = {c['samples']}, nats; one seed each. {found['machine']}.", "",
            "| model | training | log p(x given label) | log p(x) | accuracy by Bayes' rule |", "|---|---|---|---|---|",
            f"| mnist-conditional | {c['train_seconds']:.0f} s | {shown(c['bound'])} | {shown(classes['marginal_nats'])} | "
            f"{classes['accuracy']['mean']:.2%} |",
            f"| mnist | {u['train_seconds']:.0f} s | | {shown(u['bound'])} | |", "",
        ]  # fmt: skip
    if found := stored.get("digits"):
        lines += [
            f"10,000 digits at temperature 1, seed 0, judged by a classifier of real digits. {found['machine']}.", "",
            "| pixels | judge on real test images | agreement with the label | variance, generated : real, by class | "
            "largest gap of a class's share, nothing asked for | the same, label hidden |", "|---|---|---|---|---|---|",
        ]  # fmt: skip
        for name in ("mean", "sample"):
            part = found[name]
            ratios = part["variance_ratio_by_class"]
            lines.append(
                f"| {name} | {part['judge_accuracy']:.2%} | {part['agreement']:.2%} | {min(ratios):.2f} to "
                f"{max(ratios):.2f} | "
                + " | ".join(f"{100 * gap:.1f} points" for gap in part["largest_gap_of_shares"].values())
                + " |"
            )
        lines.append("")
    if found := stored.get("augment"):
        lines += [
            f"Accuracy on the 10,000 test images of a small classifier; 20 real digits a class, {found['seeds']} seeds. The "
            "500 generated digits a class are of a model trained on affine copies of the same 200. "
            f"{found['machine']}.", "", "| trained on | mean | from | to |", "|---|---|---|---|",
        ]  # fmt: skip
        lines += [
            f"| {name} | {statistics.mean(values):.2%} | {min(values):.2%} | {max(values):.2%} |"
            for name, values in found["accuracy"].items()
        ]
    return "\n".join(lines).rstrip() + "\n"


def shown(value: dict[str, float]) -> str:
    """A mean with its standard error."""
    return f"{value['mean']:.2f} ± {value['stderr']:.2f}"


def machine() -> str:
    """The processor's name, where the system tells it."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    name = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine())
    return f"{name}, {os.cpu_count()} cores"


def main() -> None:
    """Parse, measure, store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["bounds", "digits", "augment"])
    parser.add_argument("--samples", type=int, default=512)
    parser.add_argument("--seeds", type=int, default=5)
    options = parser.parse_args()
    found = {"bounds": bounds, "digits": digits, "augment": augment}[options.what](options)
    stored = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    stored[options.what] = found | {"machine": machine()}
    RESULTS.write_text(json.dumps(stored, indent=1) + "\n")
    (HERE / "results.md").write_text(table(stored))
    print(table(stored))


if __name__ == "__main__":
    main()
