"""Named parts, independent of each other: columns of a mixed table, modalities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Size, Tensor
from torch.distributions import Distribution
from torch.distributions.constraints import Constraint
from torch.types import _size

from vaekit.core import Data
from vaekit.distributions.central import central


class Joint(Distribution):
    """Π_i p_i(x_i) over named parts. Values are mappings by name; `log_prob` lays the parts' sites side by side.

    Args:
        parts: name → distribution; all with the same rows. A part without sites counts as one site.

    >>> from torch.distributions import Categorical, Normal
    >>> joint = Joint({"age": Normal(torch.zeros(4, 2), 1.0), "town": Categorical(logits=torch.zeros(4, 3))})
    >>> joint.log_prob(joint.sample()).shape
    torch.Size([4, 3])
    """

    arg_constraints: dict[str, Constraint] = {}  # noqa: RUF012

    def __init__(self, parts: Mapping[str, Distribution]) -> None:
        self.parts = dict(parts)
        shapes = [part.batch_shape for part in self.parts.values()]
        assert len({shape[0] for shape in shapes}) == 1, f"parts must have the same rows, got {shapes}"
        sites = sum(shape[1:].numel() for shape in shapes)
        super().__init__(Size((shapes[0][0], sites)), validate_args=False)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether every part has a reparameterized draw."""
        return all(part.has_rsample for part in self.parts.values())

    def log_prob(self, value: Mapping[str, Tensor]) -> Tensor:  # type: ignore[override]
        """log p(x), `(N, total sites)`, the parts in the order of `value`: a batch's mask follows it too."""
        assert set(value) == set(self.parts), f"expected the parts {sorted(self.parts)}, got {sorted(value)}"
        scores = [self.parts[name].log_prob(part).reshape(len(part), -1) for name, part in value.items()]
        return torch.cat(scores, dim=1)

    def sample(self, sample_shape: _size = Size()) -> Any:  # noqa: B008
        """A draw of every part, by name."""
        return {name: part.sample(sample_shape) for name, part in self.parts.items()}

    def rsample(self, sample_shape: _size = Size()) -> Any:  # noqa: B008
        """A reparameterized draw of every part, by name."""
        return {name: part.rsample(sample_shape) for name, part in self.parts.items()}

    @property
    def mean(self) -> Any:
        """The mean of every part, by name."""
        return {name: part.mean for name, part in self.parts.items()}


@central.register
def _(distribution: Joint) -> Data:
    return {name: central(part) for name, part in distribution.parts.items()}  # type: ignore[misc]
