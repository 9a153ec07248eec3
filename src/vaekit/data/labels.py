"""Class labels in whatever form they come → class numbers and class names."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekit.errors import DataError

UNKNOWN = -1
MOST_CLASSES = 10_000  # beyond that, integers are no class numbers, and their names are not listed


def read_labels(values: Any, n: int, classes: tuple[str, ...], where: str) -> tuple[Tensor, tuple[str, ...]]:
    """Class numbers (n,), int64, and the class names. Text becomes numbers in alphabetical order of the names.

    With `classes` given (of the training data) text is looked up there; what is not among them, and empty text, is −1,
    unknown.
    Raises `DataError` for another length, another dtype, or numbers that are no whole numbers from −1 up.
    """
    labels = np.asarray(values.detach().cpu() if isinstance(values, Tensor) else values)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.shape != (n,):
        raise DataError(f"{where}: expected one label for each of the {n} rows, got labels of shape {labels.shape}")
    if labels.dtype.kind == "O" and all(isinstance(label, str) for label in labels):
        labels = labels.astype(str)
    if labels.dtype.kind == "U":
        return _from_text(labels, classes)
    if labels.dtype.kind not in "buif" or not np.array_equal(labels, np.trunc(labels)) or labels.min() < UNKNOWN:
        raise DataError(
            f"{where}: expected class numbers from 0 up (-1 = unknown) or text, got {labels.dtype} labels.\n"
            "  fix: leave them out, or give whole numbers"
        )
    numbers = torch.from_numpy(labels.astype(np.int64))
    highest = int(numbers.max())
    if not classes and highest < MOST_CLASSES:
        classes = tuple(str(number) for number in range(highest + 1))
    return numbers, classes


def _from_text(labels: Any, classes: tuple[str, ...]) -> tuple[Tensor, tuple[str, ...]]:
    classes = classes or tuple(sorted({str(label) for label in labels} - {""}))
    number = {name: i for i, name in enumerate(classes)}
    return torch.tensor([number.get(str(label), UNKNOWN) for label in labels], dtype=torch.int64), classes
