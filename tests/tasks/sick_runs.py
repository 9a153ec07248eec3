"""Runs made by hand, each with one thing wrong; and a healthy one. Nothing is trained: weights and logs are put there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from vaekit.build import build_model, build_objective
from vaekit.core import DataSpec
from vaekit.data.dataset import Dataset, Preparation
from vaekit.data.resident import ResidentRows
from vaekit.model import VAE
from vaekit.recipes import resolve
from vaekit.run import Run, RunInfo

D, LATENT = 6, 3
WEIGHT = torch.linalg.qr(torch.randn(D, LATENT, generator=torch.Generator().manual_seed(0)))[0] * 2
SPEC = DataSpec((D,), None, mean=(0.0,) * D, scale=(1.0,) * D)


def line(epoch: int, validation: float | None, train: float | None = None, **more: Any) -> dict[str, Any]:
    """A line of a log: bounds in nats, a standard error of 0.5 on 100 examples."""
    held = None if validation is None else {"elbo_nats": validation, "stderr": 0.5, "n": 100, "kl_nats": 5.0}
    train = train if train is not None else (validation or 0.0) + 0.2
    return {"epoch": epoch, "step": 10 * epoch, "beta": 1.0, "train": {"elbo_nats": train}, "validation": held, **more}


def settling(epochs: int = 10) -> list[dict[str, Any]]:
    """A log that levels off."""
    return [line(epoch, -20 - 30 * 0.4**epoch) for epoch in range(1, epochs + 1)]


def rows(n: int = 200) -> Tensor:
    """x = W z + ε, σ of ε 0.5."""
    generator = torch.Generator().manual_seed(1)
    return torch.randn(n, LATENT, generator=generator) @ WEIGHT.T + 0.5 * torch.randn(n, D, generator=generator)


def exact(model: VAE, sigma: float = 0.5) -> None:
    """The decoder and the exact posterior of that data, as weights."""
    likelihood, posterior = model.likelihood, model.groups["z"].posterior
    precision = 1 + WEIGHT.square().sum(0) / sigma**2
    gain = WEIGHT.T / sigma**2 / precision[:, None]
    with torch.no_grad():
        likelihood.head.layer.weight.copy_(WEIGHT)  # type: ignore[operator, union-attr]
        likelihood.head.layer.bias.zero_()  # type: ignore[operator, union-attr]
        posterior.head.layer.weight.copy_(torch.cat([gain, torch.zeros_like(gain)]))  # type: ignore[operator, union-attr]
        raw = 7 * torch.atanh(-0.5 * precision.log() / 7)
        posterior.head.layer.bias.copy_(torch.cat([torch.zeros(LATENT), raw]))  # type: ignore[operator, union-attr]


def healthy(
    *,
    x: Tensor | None = None,
    spec: DataSpec = SPEC,
    likelihood: dict[str, Any] | None = None,
    objective: dict[str, Any] | None = None,
    history: list[dict[str, Any]] | None = None,
    **info: Any,
) -> Run:
    """A run with nothing wrong, but for what is asked for."""
    nets = {"name": "sick_runs:Same"}
    model = {
        "latent": LATENT,
        "encoder": nets,
        "decoder": nets,
        "likelihood": likelihood or {"name": "gaussian", "scale": "fixed", "sigma": 0.5},
    }
    config = resolve(
        {
            "data": {"name": "array", "path": None},
            "model": model,
            "objective": {"name": "elbo", **(objective or {})},
            "train": {"epochs": 10, "device": "cpu"},
        }
    )
    built = build_model(config, spec).eval().requires_grad_(False)
    if config.model.likelihood.name == "gaussian" and spec.shape == SPEC.shape:
        exact(built)
    held = ResidentRows(rows() if x is None else x, spec)
    dataset = Dataset("made up", spec, Preparation(spec.shape, spec.levels), held, held, held, "0")
    facts = RunInfo(
        name="run",
        dataset="made up",
        fingerprint="0",
        sizes={"train": 200, "validation": 200, "test": 200},
        spec=spec,
        preparation=dataset.preparation,
        parameters=1,
        device="cpu",
        precision="float32",
        reason="finished",
        steps=100,
    )
    log = settling() if history is None else history
    return Run(built, build_objective(config), config, replace(facts, **info), log, None, dataset)


class Same(torch.nn.Module):
    """A network that does nothing."""

    def forward(self, x: Tensor) -> Tensor:
        return x.flatten(1)
