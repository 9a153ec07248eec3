"""Contender: `vaekit.engine.fit.fit`, as it is shipped."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pixels
import torch
from settings import BATCH, HIDDEN, LATENT, RATE, Settings
from turns import Turns

from vaekit.build import build_model, build_objective
from vaekit.core import DataSpec
from vaekit.data.resident import ResidentRows
from vaekit.engine.fit import EpochEnd, Event, fit
from vaekit.engine.runtime import Runtime
from vaekit.engine.validate import held_out
from vaekit.recipes import resolve


@dataclass(frozen=True)
class Splits:
    """What `fit` takes."""

    train: ResidentRows
    validation: ResidentRows


def configuration(settings: Settings) -> dict[str, Any]:
    """The model and the plan as a user would write them."""
    mlp = {"name": "mlp", "hidden": [HIDDEN], "activation": "relu"}
    nets = {"mlp": (mlp, mlp), "conv": ({"name": "convnets:Encoder"}, {"name": "convnets:Decoder"})}
    encoder, decoder = nets[settings.nets]
    likelihood = {"name": "bernoulli", "binarization": "expected"}
    return {
        "data": "mnist",
        "model": {"latent": LATENT, "encoder": encoder, "decoder": decoder, "likelihood": likelihood},
        "objective": "elbo",
        "train": {
            "epochs": settings.epochs,
            "batch_size": BATCH,
            "optimizer": "Adam",
            "lr": RATE,
            "schedule": "constant",
            "validate_every": 0,
            "checkpoint": "24h",
            "precision": settings.precision,
            "compile": settings.compile,
            "seed": settings.seed,
        },
    }


def main() -> None:
    """Train with turns, then score the held-out images as `vaekit` does."""
    settings, turns = Settings.read(), Turns()
    spec = DataSpec(shape=(1, 28, 28), levels=256)
    train, test = (torch.from_numpy(part.copy()).reshape(-1, 1, 28, 28) for part in _arrays(settings))
    config = resolve(configuration(settings))
    model, objective = build_model(config, spec), build_objective(config)
    runtime = Runtime.choose(config.train.device, config.train.precision)

    def hook(event: Event) -> None:
        if isinstance(event, EpochEnd):
            turns.ended_epoch()

    turns.ready(precision=runtime.precision, torch=torch.__version__, threads=torch.get_num_threads())
    splits = Splits(ResidentRows(train, spec), ResidentRows(test, spec))
    fitted = fit(model, objective, splits, config.train, hooks=[hook])
    found = held_out(fitted.model, splits.validation, runtime)
    turns.held_out(found.elbo_nats, found.stderr)


def _arrays(settings: Settings) -> Any:
    return pixels.load(settings.data, settings.images)


if __name__ == "__main__":
    main()
