"""The evidence lower bound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from vaekit.core import Bound, Trace, sum_sites
from vaekit.schedules import ramp


@dataclass(frozen=True)
class Elbo:
    """E_q[log p(x | z)] − β · KL[q(z | x) ‖ p(z)], with β warmed up and a part of the KL free.

    `beta` is the weight of the KL after `warmup` steps of a linear ramp from 0. `free_bits` is the KL, in **nats**, that each
    latent group may spend without cost; `free_bits_per_dimension` the same for each latent dimension: what is paid is
    max(KL averaged over the batch, free). The loss has β, free bits and penalties in it; the reported terms never have.

    References:
        Kingma, Welling (2014), Auto-encoding variational Bayes, eq. 3.
        Higgins et al. (2017), β-VAE. Bowman et al. (2016), Generating sentences from a continuous space (warm-up).
        Kingma et al. (2016), Improved variational inference with inverse autoregressive flow, eq. 15 (free bits).
    """

    beta: Annotated[float, Ge(0)] = 1.0
    warmup: Annotated[int, Ge(0)] = 0
    free_bits: Annotated[float, Ge(0)] = 0.0
    free_bits_per_dimension: Annotated[float, Ge(0)] = 0.0
    samples: Annotated[int, Ge(1)] = 1

    @property
    def path(self) -> bool:
        """The closed-form KL needs no path derivative."""
        return False

    def weight(self, step: int) -> float:
        """The factor on the KL at a step."""
        return self.beta * ramp(step, self.warmup)

    def __call__(self, trace: Trace, step: int) -> Bound:
        """The loss and the plain bound, averaged over the batch, in nats per example."""
        log_likelihood = trace.expect(sum_sites(trace.log_likelihood())).mean()
        kl = {name: trace.expect(value) for name, value in trace.kl().items()}  # (B, *sites) each
        plain = {name: sum_sites(value, keep=1).mean() for name, value in kl.items()}
        paid = total([self.paid(value, plain[name]) for name, value in kl.items()])
        penalties = [trace.expect(value).mean() for value in trace.penalties().values()]
        with torch.no_grad():
            spent = total(list(plain.values()))
            terms = {"elbo": log_likelihood - spent, "log_likelihood": log_likelihood.detach(), "kl": spent.detach()}
        return Bound(total([self.weight(step) * paid - log_likelihood, *penalties]), terms)

    def paid(self, kl: Tensor, plain: Tensor) -> Tensor:
        """The part of one group's KL that is paid: (B, *sites), its plain total () → ()."""
        if self.free_bits_per_dimension:
            return kl.mean(0).clamp(min=self.free_bits_per_dimension).sum().clamp(min=self.free_bits)
        return plain.clamp(min=self.free_bits) if self.free_bits else plain


def total(values: list[Tensor]) -> Tensor:
    """The sum of numbers, () each."""
    return values[0] if len(values) == 1 else torch.stack(values).sum()
