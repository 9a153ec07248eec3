"""Activations by name."""

from __future__ import annotations

from typing import Literal, TypeAlias

from torch import nn

Activation: TypeAlias = Literal["relu", "silu", "gelu", "elu", "leaky_relu", "tanh"]

_MODULES: dict[str, type[nn.Module]] = {
    "relu": nn.ReLU,
    "silu": nn.SiLU,
    "gelu": nn.GELU,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
    "tanh": nn.Tanh,
}


def activation(name: Activation) -> nn.Module:
    """A fresh activation module.

    >>> activation("silu")
    SiLU()
    """
    return _MODULES[name]()
