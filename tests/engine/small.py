"""A small data set and model for the tests of the engine: 8×10 binary images from four prototypes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from vaekit.build import build_model, build_objective, mean_of
from vaekit.config import Config
from vaekit.core import Batch, DataSpec, Objective
from vaekit.engine.fit import Fitted, fit
from vaekit.engine.plan import Plan
from vaekit.model import VAE
from vaekit.recipes import read, resolve

SPEC = DataSpec(shape=(1, 8, 10), levels=2)


@dataclass(frozen=True)
class Rows:
    """One split held in memory."""

    x: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def batches(self, order: Tensor, batch_size: int, drop_last: bool = False) -> Iterator[Batch]:
        for index in order.split(batch_size):
            yield Batch(self.x[index], index=index)


@dataclass(frozen=True)
class Data:
    """Train and validation, made from a seed."""

    train: Rows
    validation: Rows


def make_data(n: int = 220, seed: int = 3) -> Data:
    """Noisy copies of four random prototypes."""
    generator = torch.Generator().manual_seed(seed)
    prototypes = torch.rand(4, *SPEC.shape, generator=generator) < 0.4
    chosen = prototypes[torch.randint(4, (n + 50,), generator=generator)]
    flipped = torch.rand(chosen.shape, generator=generator) < 0.05
    x = (chosen ^ flipped).to(torch.uint8)
    return Data(Rows(x[:n]), Rows(x[n:]))


class Source:
    """The data as a configuration names it."""

    def load(self) -> Data:
        return make_data()


def config(train: Mapping[str, Any] | None = None, objective: Any = "elbo", net: Any = None) -> Config:
    """A configuration for that data; `train` overrides the plan."""
    values = {
        "data": {"name": "small:Source"},
        "model": {
            "latent": 3,
            "encoder": net or {"name": "mlp", "hidden": [16]},
            "decoder": net or {"name": "mlp", "hidden": [16]},
            "likelihood": "bernoulli",
        },
        "objective": objective,
        "train": {"epochs": 4, "batch_size": 32, "precision": "float32", **(train or {})},
    }
    return resolve(read(values))


def parts(
    train: Mapping[str, Any] | None = None, objective: Any = "elbo", net: Any = None
) -> tuple[VAE, Objective, Data, Plan]:
    """What `fit` takes."""
    settings, data = config(train, objective, net), make_data()
    return build_model(settings, SPEC, mean_of(data.train)), build_objective(settings), data, settings.train


def train(
    settings: Mapping[str, Any] | None = None, objective: Any = "elbo", net: Any = None, **options: Any
) -> Fitted:
    """Train on the small data."""
    return fit(*parts(settings, objective, net), **options)
