"""Linear layers by oneDNN: on many CPUs twice as fast in float32 as the default, with the same numbers up to rounding.

Importance sampling is all products: 512 samples of 10,000 images put five million rows through the decoder.
"""

from __future__ import annotations

import copy
from itertools import chain
from typing import TypeVar

import torch
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


class _Linear(nn.Module):
    """x Wᵀ + b, with the weights of another layer; without gradients."""

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = layer.weight, layer.bias

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return y


def swift(model: Module) -> Module:
    """A model that computes the same, for inference; it shares the weights. `model` itself where there is nothing to gain."""
    if not usable(model):
        return model
    tensors = chain(model.parameters(), model.buffers())
    twin = copy.deepcopy(model, memo={id(tensor): tensor for tensor in tensors})
    for module in list(twin.modules()):
        for name, child in module.named_children():
            # A subclass, a parametrized layer or one with hooks may mean something else.
            if type(child) is nn.Linear and not child._forward_hooks and not child._forward_pre_hooks:
                setattr(module, name, _Linear(child))
    return twin


def usable(model: nn.Module) -> bool:
    """Whether all weights are float32 on a CPU, and this torch has the kernel."""
    weights = list(model.parameters())
    on_cpu = all(weight.device.type == "cpu" and weight.dtype == torch.float32 for weight in weights)
    return bool(weights) and on_cpu and bool(torch.backends.mkldnn.is_available()) and kernel_works()  # type: ignore[no-untyped-call]


def kernel_works() -> bool:
    """The kernel is not part of torch's promised interface: try it."""
    x = torch.ones(2, 3)
    try:
        return torch.equal(torch.ops.mkldnn._linear_pointwise(x, x, None, "none", [], ""), torch.full((2, 2), 3.0))
    except (AttributeError, RuntimeError, TypeError):
        return False
