"""Binary data, and grey data made binary."""

from __future__ import annotations

import warnings
from typing import Annotated, Literal

import torch
from annotated_types import Gt, Lt
from torch import Generator, Tensor, nn

from vaekit.core import DataSpec, Given
from vaekit.distributions import Bernoulli as Binary
from vaekit.errors import DataError
from vaekit.likelihoods.base import Decoded, need_levels


class Bernoulli(Decoded):
    """p(x | z) = Π Bernoulli(x; σ(l(z))), for data with two levels.

    Grey data with K levels, x / (K − 1) in [0, 1], needs a policy, since a Bernoulli gives grey no probability:

    - `refuse`: an error.
    - `dynamic`: a fresh draw b ~ Bernoulli(x / (K − 1)) each time; figures are about binary images.
    - `threshold`: b = 1 where x / (K − 1) > `threshold`; figures are about binary images.
    - `expected`: the average of the bound over the draw b, exactly, with the encoder shown the grey values:
      E_b[log p(b | z)] is the cross-entropy with x / (K − 1) as target. It bounds E_b[log p(b)], not a log-probability
      of the grey image; cheaper and less noisy than `dynamic`, and another quantity: never compare the two.

    Args:
        binarization: the policy for grey data.
        threshold: for `threshold`, in (0, 1).
        spec: what the data is.
        features: the decoder's output shape.
        decoder: the network from the latent state to features.
        mean: the mean of the raw training data, `(*shape)`: the first outputs are near it.

    Raises:
        DataError: continuous data, or grey data and `refuse`.

    References:
        Burda, Grosse, Salakhutdinov (2016), Importance weighted autoencoders, section 5 (dynamic binarization).
    """

    def __init__(
        self,
        binarization: Literal["refuse", "dynamic", "threshold", "expected"] = "refuse",
        threshold: Annotated[float, Gt(0), Lt(1)] = 0.5,
        *,
        spec: DataSpec,
        features: tuple[int, ...],
        decoder: nn.Module,
        mean: Tensor | None = None,
    ) -> None:
        super().__init__(1, spec, features, decoder)
        levels = need_levels(spec, "bernoulli", "likelihood 'gaussian' or 'logistic'")
        if levels > 2 and binarization == "refuse":
            raise DataError(
                f"likelihood 'bernoulli' needs data with 2 levels, got {levels}.\n"
                "  fix: set binarization to 'dynamic', 'threshold' or 'expected', or use likelihood 'logistic'"
            )
        self.binarization = binarization if levels > 2 else "expected"  # two levels: nothing to draw
        if threshold != 0.5 and self.binarization != "threshold":
            warnings.warn(f"threshold {threshold:g} is ignored: binarization is '{self.binarization}'", stacklevel=2)
        self.threshold = threshold
        self.top = levels - 1
        if mean is not None:
            self.start_at(torch.logit((mean.float() / self.top).clamp(0.01, 0.99)))

    def forward(self, given: Given) -> Binary:
        """Bernoulli(σ(l)), `(N, *shape)`."""
        return Binary(self.parameters_given(given).squeeze(1))

    def convert(self, x: Tensor, generator: Generator | None) -> tuple[Tensor, float]:
        """Levels → numbers in {0, 1}, or in [0, 1] for `expected`."""
        if self.binarization == "dynamic":
            uniform = torch.rand(x.shape, generator=generator, device=x.device)
            return torch.sub(x, uniform, alpha=self.top).gt_(0), 0.0  # as numbers: one pass less than (… < x).float()
        if self.binarization == "threshold":
            return (x > self.threshold * self.top).float(), 0.0
        return x.float() / self.top, 0.0

    def restore(self, x: Tensor) -> Tensor:
        """Numbers in [0, 1] → levels 0 … K−1."""
        return x * self.top
