"""The fast linear layer: torch's numbers and gradients, in the precision of float32."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from vaekit.nets import products
from vaekit.nets.products import KERNEL_WORKS, Linear, suits

pytestmark = pytest.mark.skipif(not KERNEL_WORKS, reason="this torch has no oneDNN kernel for linear layers")


@pytest.fixture(autouse=True)
def _all_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "SMALL", 1)


def pair(bias: bool = True) -> tuple[Linear, nn.Linear]:
    """The layer and torch's own, with the same weights."""
    fast, plain = Linear(5, 3, bias=bias), nn.Linear(5, 3, bias=bias)
    plain.load_state_dict(fast.state_dict())
    return fast, plain


@pytest.mark.parametrize("bias", [True, False])
def test_numbers_and_gradients_are_those_of_torch(bias: bool) -> None:
    fast, plain = pair(bias)
    x = torch.randn(7, 5)
    found = []
    for layer in (fast, plain):
        y = layer(x.requires_grad_())
        found.append([y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])])
    assert suits(x, fast.weight)
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs)


def test_second_derivatives_are_those_of_torch() -> None:
    fast, plain = pair()
    x = torch.randn(7, 5, requires_grad=True)

    def penalty(layer: nn.Module) -> Tensor:
        (slope,) = torch.autograd.grad(layer(x).tanh().sum(), x, create_graph=True)
        return slope.square().sum()

    mine = torch.autograd.grad(penalty(fast), [x, fast.weight])
    theirs = torch.autograd.grad(penalty(plain), [x, plain.weight])
    for one, other in zip(mine, theirs, strict=True):
        torch.testing.assert_close(one, other)


def test_jacobians_of_single_rows() -> None:
    fast, plain = pair()
    x = torch.randn(7, 5)

    def jacobian(layer: nn.Module) -> Tensor:
        return torch.func.vmap(torch.func.jacrev(lambda row: layer(row[None])[0]))(x)

    torch.testing.assert_close(jacobian(fast), jacobian(plain))


@pytest.mark.parametrize(
    "x",
    [torch.randn(7, 5, dtype=torch.float64), torch.randn(2, 7, 5), torch.randn(0, 5), torch.randn(7, 5).bfloat16()],
    ids=["double", "more axes", "no rows", "half"],
)
def test_all_else_takes_the_path_of_torch(x: Tensor) -> None:
    fast, plain = (layer.to(x.dtype) for layer in pair())
    assert not suits(x, fast.weight)
    torch.testing.assert_close(fast(x), plain(x), rtol=0, atol=0)


def test_autocast_and_no_gradient() -> None:
    fast, plain = pair()
    x = torch.randn(7, 5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fast(x), plain(x)) and fast(x).dtype is torch.bfloat16
    with torch.no_grad():
        torch.testing.assert_close(fast(x), plain(x))


def test_small_products_take_the_path_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    weight = torch.randn(64, 64)
    assert not suits(torch.randn(128, 64), weight)
    assert suits(torch.randn(2048, 64), weight)
