"""Each entry through an embedder of its own, side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
from annotated_types import Ge, Gt, Lt
from torch import Tensor, nn

from vaekit.core import ContextSpec


class Embedding(nn.Module):
    """(e_1(c_1), …, e_n(c_n)): a learned vector for every class, an affine map of standardized numbers.

    An entry that is unknown has a learned vector too. In training each entry of each row is made unknown with the
    probability `dropout`, so that one model also serves where the context, or a part of it, is not given.

    Args:
        width: numbers that stand for one entry.
        dropout: the probability with which an entry is hidden in training. With 0 the model never learns what it is not to
            know an entry: then do not leave any out.
        entries: what the context is, by name.

    References:
        Sohn, Lee, Yan (2015), Learning structured output representation using deep conditional generative models.
        Ho, Salimans (2022), Classifier-free diffusion guidance (the context that is dropped at random).
    """

    def __init__(
        self,
        width: Annotated[int, Gt(0)] = 32,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.1,
        *,
        entries: Mapping[str, ContextSpec],
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.names = tuple(entries)  # a list of modules: not every name of a column can be that of an attribute
        self.entries = nn.ModuleList(
            Category(entry, width) if entry.is_category else Numbers(entry, width) for entry in entries.values()
        )

    def forward(self, context: Mapping[str, Tensor], rows: int) -> Tensor:
        """Named entries, `(rows,)` or `(rows, size)` each; one that is absent is unknown everywhere → `(rows, C)`."""
        parts = zip(self.names, self.entries, strict=True)
        return torch.cat([self.embedded(module, context.get(name), rows) for name, module in parts], dim=1)

    def embedded(self, embedder: nn.Module, values: Tensor | None, rows: int) -> Tensor:
        """One entry, `(rows, width)`."""
        found: Tensor = embedder(values, rows)
        if not self.training or not self.dropout or values is None:
            return found
        hidden = torch.rand(rows, 1, device=found.device) < self.dropout
        return torch.where(hidden, embedder(None, rows), found)


class Category(nn.Module):
    """A vector for each of K classes, and one for unknown."""

    def __init__(self, entry: ContextSpec, width: int) -> None:
        super().__init__()
        self.table = nn.Embedding(len(entry.classes) + 1, width)

    def forward(self, values: Tensor | None, rows: int) -> Tensor:
        """Class numbers `(rows,)`, −1 where unknown → `(rows, width)`."""
        unknown = self.table.num_embeddings - 1
        if values is None:
            return self.table.weight[unknown].expand(rows, -1)
        return self.table(torch.where(values < 0, unknown, values))  # type: ignore[no-any-return]


class Numbers(nn.Module):
    """W (c − mean) / scale + b, and a vector for unknown: an entry of several numbers is unknown as a whole."""

    mean: Tensor
    scale: Tensor

    def __init__(self, entry: ContextSpec, width: int) -> None:
        super().__init__()
        self.affine = nn.Linear(entry.size, width)
        self.unknown = nn.Parameter(torch.randn(width))
        self.register_buffer("mean", torch.tensor(entry.mean), persistent=False)
        self.register_buffer("scale", torch.tensor(entry.scale), persistent=False)

    def forward(self, values: Tensor | None, rows: int) -> Tensor:
        """Numbers `(rows, size)`, NaN where unknown → `(rows, width)`."""
        if values is None:
            return self.unknown.expand(rows, -1)
        missing = values.isnan().any(1, keepdim=True)
        # Filled before the product: NaN · 0 is NaN in a gradient.
        standard = (torch.where(missing, self.mean, values.to(self.mean.dtype)) - self.mean) / self.scale
        return torch.where(missing, self.unknown, self.affine(standard))
