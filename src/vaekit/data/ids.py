"""Names of rows, kept small: a million file names as one block of bytes instead of a million objects."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np
from torch import Tensor


class Names(Sequence[str]):
    """File names, packed. Names that are no valid Unicode survive the round trip.

    >>> names = Names(["a.png", "b/c.png"])
    >>> names[1], len(names), list(names)
    ('b/c.png', 2, ['a.png', 'b/c.png'])
    """

    def __init__(self, names: Iterable[str]) -> None:
        encoded = [os.fsencode(name) for name in names]
        self._block = b"".join(encoded)
        self._ends = np.cumsum([0, *map(len, encoded)], dtype=np.int64)

    def __len__(self) -> int:
        return len(self._ends) - 1

    @overload
    def __getitem__(self, key: int) -> str: ...
    @overload
    def __getitem__(self, key: slice) -> list[str]: ...
    def __getitem__(self, key: int | slice) -> str | list[str]:
        if isinstance(key, slice):
            return [self[i] for i in range(*key.indices(len(self)))]
        i = range(len(self))[key]
        return os.fsdecode(self._block[self._ends[i] : self._ends[i + 1]])


class Numbers(Sequence[str]):
    """Row numbers of a source as ids, made to text only where someone reads them.

    >>> import torch
    >>> Numbers(torch.tensor([7, 3]))[0]
    '7'
    """

    def __init__(self, numbers: Tensor) -> None:
        self.numbers = numbers.cpu()

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, key: int) -> str: ...
    @overload
    def __getitem__(self, key: slice) -> list[str]: ...
    def __getitem__(self, key: int | slice) -> str | list[str]:
        if isinstance(key, slice):
            return [str(number) for number in self.numbers[key].tolist()]
        return str(int(self.numbers[key]))


def pick(ids: Sequence[str], index: Tensor) -> Sequence[str]:
    """The ids of the rows `index` (m,), as small as they were."""
    if isinstance(ids, Numbers):
        return Numbers(ids.numbers[index.cpu()])
    return Names(ids[i] for i in index.tolist())
