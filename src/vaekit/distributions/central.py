"""The one place where a distribution becomes a point."""

from __future__ import annotations

from functools import singledispatch

from torch import Tensor
from torch.distributions import Categorical, Distribution

from vaekit.core import Data


@singledispatch
def central(distribution: Distribution) -> Data:
    """The point estimate in the distribution's own units: the mean, unless the family says better.

    A categorical's is the likeliest value (its mean is NaN); named parts give named points.
    """
    return distribution.mean


@central.register
def _(distribution: Categorical) -> Tensor:
    return distribution.logits.argmax(-1)
