"""Linear layers, in float32 on a CPU by oneDNN: on many processors twice as fast as torch's default, to the same rounding.

torch multiplies float32 matrices with MKL, which runs at half speed on some processors (AMD's); oneDNN, which torch uses for
bfloat16 and for convolutions, has no favourites. Its kernel has no gradient and cannot be traced, so both are given here.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SMALL = 2**22  # multiplications, below which the way to the kernel takes longer than the product


class Linear(nn.Linear):
    """x Wᵀ + b, (..., in_features) → (..., out_features): `nn.Linear` with a faster product where there is one."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) → (..., out_features)."""
        if suits(x, self.weight):
            return affine(x, self.weight, self.bias)  # type: ignore[no-any-return]
        return F.linear(x, self.weight, self.bias)


def suits(x: Tensor, weight: Tensor) -> bool:
    """Whether oneDNN's product is the one to take: for large ones of float32 on a CPU, outside autocast and `torch.func`."""
    return (
        x.dtype is torch.float32
        and weight.dtype is torch.float32
        and x.ndim == 2
        and x.numel() * len(weight) >= SMALL
        and x.device.type == "cpu"
        and not torch.is_autocast_enabled("cpu")
        and not torch._C._are_functorch_transforms_active()
        and KERNEL_WORKS
    )


# `torch.library.custom_op` would say the same, but imports the compiler, which takes as long as torch itself.
_OPERATORS: Any = torch.library.Library("vaekit", "DEF")  # type: ignore[no-untyped-call]
_OPERATORS.define("affine(Tensor x, Tensor weight, Tensor? bias) -> Tensor")
affine = torch.ops.vaekit.affine.default


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x Wᵀ + b of (n, i), (o, i), (o,), by oneDNN, (n, o)."""
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # type: ignore[no-any-return]


def _shape(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """A tensor like the product's, for tracing."""
    return x.new_empty(len(x), len(weight))


def _remember(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])


def _gradients(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """∂x = ȳ W, ∂W = ȳᵀ x, ∂b = Σ ȳ: products of the same kind, so there are derivatives of any order."""
    x, weight = ctx.saved_tensors
    wanted = ctx.needs_input_grad
    return (
        affine(gradient, weight.t(), None) if wanted[0] else None,
        affine(gradient.t(), x.t(), None) if wanted[1] else None,
        gradient.sum(0) if wanted[2] else None,
    )


_OPERATORS.impl("affine", _product, "CPU")
_OPERATORS.impl("affine", _shape, "Meta")
torch.library.register_autograd("vaekit::affine", _gradients, setup_context=_remember, lib=_OPERATORS)


def kernel_works() -> bool:
    """The kernel is not part of torch's promised interface: try it."""
    x = torch.ones(2, 3)
    try:
        return torch.equal(affine(x, x, None), torch.full((2, 2), 3.0))
    except (AttributeError, RuntimeError, TypeError):
        return False


KERNEL_WORKS = kernel_works()
