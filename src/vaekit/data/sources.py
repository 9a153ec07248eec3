"""What a source of data is: one file of this folder each, named as in `data: {name: ...}`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from vaekit.data.dataset import Dataset


class Source(ABC):
    """Where data comes from: a constructor whose arguments are the YAML of `data:`, and `load`.

    `suffixes` are the endings of single files that it reads: a recipe with this source keeps it for such files.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def load(self) -> Dataset:
        """Reads everything there is to read now. Raises `DataError` with what was expected, what came, and the fix."""
