"""How much of the latent space is used."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from vaekit.core import Trace
from vaekit.metrics.bounds import Scores
from vaekit.metrics.estimate import Moments

ACTIVE_VARIANCE = 0.01  # Burda et al. (2016), section 5.2


class LatentUse:
    """Collects, site by site, the KL and the variance over the data of the posterior's centre."""

    def __init__(self) -> None:
        self.costs: dict[str, Moments] = {}
        self.centres: dict[str, Moments] = {}

    def add(self, scores: Scores) -> None:
        """Take in the KL of some examples."""
        for name, kl in scores.kl.items():
            self.costs.setdefault(name, Moments()).add(kl)

    def add_centres(self, trace: Trace) -> None:
        """Take in a deterministic pass."""
        for latent in trace.latents:
            self.centres.setdefault(latent.name, Moments()).add(latent.z)

    def kl(self) -> dict[str, Tensor]:
        """Group name → mean KL of every site in nats, (*sites)."""
        return {name: moments.mean for name, moments in self.costs.items()}

    def variances(self) -> dict[str, Tensor]:
        """Group name → variance over the data of the posterior's centre, (*latent)."""
        return {name: moments.variance() for name, moments in self.centres.items()}


def active_units(variances: Mapping[str, Tensor]) -> int:
    """The number of dimensions u with Var_x(E_q[z_u | x]) > 0.01: the code says something about x there.

    References: Burda, Grosse, Salakhutdinov (2016), Importance weighted autoencoders, section 5.2.
    """
    return sum(int((values > ACTIVE_VARIANCE).sum()) for values in variances.values())


def effective_dimensions(kl: Mapping[str, Tensor]) -> float:
    """exp of the entropy of the shares that dimensions have in the KL: d if d of them carry all, equally. 0 without any KL.

    >>> round(effective_dimensions({"z": torch.tensor([2.0, 2.0, 0.0, 2.0])}), 6)
    3.0
    """
    values = torch.cat([value.flatten() for value in kl.values()]).double().clamp(min=0)
    if values.sum() <= 0:
        return 0.0
    shares = values / values.sum()
    return float(torch.special.entr(shares).sum().exp())
