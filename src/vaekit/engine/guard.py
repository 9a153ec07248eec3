"""Holding back the updates that would ruin the weights, without waiting for the device; and saying why they came."""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from vaekit.core import Batch
from vaekit.engine.plan import Plan
from vaekit.engine.runtime import Runtime
from vaekit.errors import TrainingError
from vaekit.model import VAE


class Guard:
    """Clips gradients, and skips the update where the loss (or the clipped norm) is not finite.

    On an accelerator the decision stays there: a fused optimizer is handed `found_inf` and takes no step; one without a fused
    kernel steps with a zero gradient. On a CPU nothing is waited for, and the step is simply not taken.
    """

    def __init__(self, model: nn.Module, optimizer: torch.optim.Optimizer, plan: Plan, runtime: Runtime) -> None:
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimizer = optimizer
        self.clip = plan.clip
        self.on_host = runtime.device.type == "cpu"
        self.fused = bool(optimizer.defaults.get("fused"))
        self.losses: list[Tensor] = []  # () each, of the batches of this update
        self.skipped = torch.zeros((), device=runtime.device)
        self.in_a_row = torch.zeros((), device=runtime.device)

    def see(self, loss: Tensor) -> None:
        """Take note of one batch's loss, ()."""
        self.losses.append(loss.detach())

    def step(self) -> None:
        """Update the weights, or not; either way the gradients are gone afterwards."""
        assert self.losses, "an update without a loss"
        decisive = self.losses
        if self.clip is not None:
            decisive = [*decisive, nn.utils.clip_grad_norm_(self.parameters, self.clip)]
        if self.on_host:
            self.step_on_host(all(math.isfinite(value.item()) for value in decisive))
        else:
            self.step_on_device(torch.isfinite(torch.stack(decisive)).all())
        for parameter in self.parameters:
            parameter.grad = None
        self.losses = []

    def step_on_host(self, finite: bool) -> None:
        """The decision is here already."""
        if finite:
            self.optimizer.step()
            if self.in_a_row:
                self.in_a_row.zero_()
        else:
            self.skipped += 1
            self.in_a_row += 1

    def step_on_device(self, finite: Tensor) -> None:
        """The decision stays on the device."""
        bad = (~finite).float()
        if self.fused:
            self.optimizer.found_inf = bad  # type: ignore[attr-defined]
        else:
            gradients = [parameter.grad for parameter in self.parameters if parameter.grad is not None]
            for gradient in gradients:
                gradient.masked_fill_(~finite, 0.0)
        self.optimizer.step()
        self.skipped += bad
        self.in_a_row.add_(1).mul_(bad)

    def state(self) -> dict[str, Tensor]:
        """The counts, for a checkpoint."""
        return {"guard/skipped": self.skipped, "guard/in_a_row": self.in_a_row}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take the counts of a checkpoint."""
        self.skipped.copy_(tensors["guard/skipped"])
        self.in_a_row.copy_(tensors["guard/in_a_row"])


def diagnosis(model: VAE, batch: Batch, skipped: int, plan: Plan) -> TrainingError:
    """Which part of the model is not finite, and what helps."""
    return TrainingError(
        f"training stopped after {skipped} updates in a row were skipped for a non-finite loss: {culprit(model, batch)}.\n"
        f"  fix: a lower rate (--set train.lr={plan.lr / 4:g}), gradient clipping (--set train.clip=1.0), "
        "a longer warm-up (--set train.lr_warmup=500), or --set train.precision=float32"
    )


@torch.no_grad()
def culprit(model: VAE, batch: Batch) -> str:
    """The first quantity that is not finite, in the order in which they are computed."""
    broken = [name for name, value in model.named_parameters() if not torch.isfinite(value).all()]
    if broken:
        return f"the weights themselves are not finite (first: {broken[0]})"
    prepared = model.likelihood.prepare(batch)
    if isinstance(prepared.x, Tensor) and not torch.isfinite(prepared.x).all():
        return "the data has values that are not finite"
    trace = model(prepared)
    for name, value in trace.kl().items():
        if not torch.isfinite(value).all():
            return f"the KL of group '{name}' is not finite (the posterior's scale or mean ran away)"
    if not torch.isfinite(trace.log_likelihood()).all():
        return "the log-likelihood is not finite (the decoder's outputs ran away)"
    return "the loss of earlier batches was not finite, the last one's is"
