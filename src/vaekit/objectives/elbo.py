"""The evidence lower bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from vaekit.core import Bound, Trace, sum_sites
from vaekit.schedules import ramp


@dataclass(frozen=True)
class Elbo:
    """E_q[log p(x | z)] − β · KL[q(z | x) ‖ p(z)], with β warmed up and a part of the KL free.

    `beta` is the weight of the KL after `warmup` steps of a linear ramp from 0. `free_bits` is the KL, in **nats**, that each
    latent group may spend without cost; `free_bits_per_dimension` the same for each latent dimension: what is paid is
    max(KL averaged over the batch, free). With `trim`, the share of a batch that has the lowest bounds is left out of the
    loss: abnormal rows among the training data do not shape the model (`trim`: a little above their share). The loss has
    all of that and penalties in it; the reported terms never have.

    References:
        Kingma, Welling (2014), Auto-encoding variational Bayes, eq. 3.
        Higgins et al. (2017), β-VAE. Bowman et al. (2016), Generating sentences from a continuous space (warm-up).
        Kingma et al. (2016), Improved variational inference with inverse autoregressive flow, eq. 15 (free bits).
        Hadi, Luceño (1997), Maximum trimmed likelihood estimators: a unified approach (trim).
    """

    beta: Annotated[float, Ge(0)] = 1.0
    warmup: Annotated[int, Ge(0)] = 0
    free_bits: Annotated[float, Ge(0)] = 0.0
    free_bits_per_dimension: Annotated[float, Ge(0)] = 0.0
    samples: Annotated[int, Ge(1)] = 1
    trim: Annotated[float, Ge(0), Lt(1)] = 0.0

    @property
    def path(self) -> bool:
        """The closed-form KL needs no path derivative."""
        return False

    def weight(self, step: int) -> float:
        """The factor on the KL at a step."""
        return self.beta * ramp(step, self.warmup)

    def __call__(self, trace: Trace, step: int) -> Bound:
        """The loss and the plain bound, averaged over the batch, in nats per example."""
        scores = trace.expect(sum_sites(trace.log_likelihood()))  # (B,)
        kl = {name: trace.expect(value) for name, value in trace.kl().items()}  # (B, *sites) each
        costs = {name: sum_sites(value, keep=1) for name, value in kl.items()}  # (B,) each
        penalties = [trace.expect(value) for value in trace.penalties().values()]  # (B,) each
        terms = plain_terms(scores, total(list(costs.values())))
        if self.trim:
            kept = self.kept(scores, total(list(costs.values())))
            scores, penalties = scores[kept], [value[kept] for value in penalties]
            kl, costs = ({name: value[kept] for name, value in parts.items()} for parts in (kl, costs))
        paid = total([self.paid(value, costs[name].mean()) for name, value in kl.items()])
        loss = self.weight(step) * paid - scores.mean()
        return Bound(total([loss, *(value.mean() for value in penalties)]), terms)

    def kept(self, scores: Tensor, costs: Tensor) -> Tensor:
        """The rows of a batch whose bounds are not among the lowest, (B,) each → (kept,)."""
        return (scores - costs).detach().topk(max(1, round(len(scores) * (1 - self.trim)))).indices

    def paid(self, kl: Tensor, plain: Tensor) -> Tensor:
        """The part of one group's KL that is paid: (B, *sites), its plain total () → ()."""
        if self.free_bits_per_dimension:
            return kl.mean(0).clamp(min=self.free_bits_per_dimension).sum().clamp(min=self.free_bits)
        return plain.clamp(min=self.free_bits) if self.free_bits else plain


def plain_terms(scores: Tensor, costs: Tensor) -> dict[str, Tensor]:
    """The terms of the plain bound, averaged over the batch, (B,) each."""
    score, cost = scores.detach().mean(), costs.detach().mean()
    return {"elbo": score - cost, "log_likelihood": score, "kl": cost}


def total(values: list[Tensor]) -> Tensor:
    """The sum of tensors of one shape."""
    return values[0] if len(values) == 1 else torch.stack(values).sum(0)
