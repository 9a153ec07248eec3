"""One step's forward: prepare, infer, score. This is what is compiled, and what a distributed wrapper would wrap."""

from __future__ import annotations

from torch import Tensor, nn

from vaekit.core import Batch, Objective
from vaekit.engine.runtime import Runtime
from vaekit.model import VAE


class Step(nn.Module):
    """Model and objective: raw batch → loss and reported terms, tensors only."""

    def __init__(self, model: VAE, objective: Objective, runtime: Runtime) -> None:
        super().__init__()
        self.model = model
        self.objective = objective
        self.runtime = runtime

    def forward(self, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss () and the plain bound's terms () in nats per example; the batch is as the data yields it."""
        with self.runtime.autocast():
            batch = self.model.likelihood.prepare(batch)
            trace = self.model(batch, samples=self.objective.samples, path=self.objective.path)
            bound = self.objective(trace, step)
        return bound.loss, dict(bound.terms)
