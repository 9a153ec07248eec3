"""scikit-learn's embedded digits."""

from __future__ import annotations

import importlib
from typing import Annotated

import torch
from annotated_types import Ge

from vaekit.data.assemble import Pool, assemble
from vaekit.data.dataset import Dataset, Preparation
from vaekit.data.sources import Source
from vaekit.data.splits import Shares
from vaekit.errors import MissingExtraError

LEVELS = 17  # the count of ink pixels in a 4×4 block: 0 to 16


class Digits(Source):
    """Small handwritten digits that come with scikit-learn: 1,797 images, 8×8, 17 grey levels, labels 0 to 9.

    Arguments:
        validation: the share held out to choose the weights on, classes in proportion: a fraction below 1, or a count.
        test: the share held out for evaluation, said in the same way.
        seed: of the split.
        limit: at most so many images, for a quick trial.
        context: entries that condition the model: `label`.

    Raises `MissingExtraError` where scikit-learn is not installed, and `DataError` where no row is left to train on.

    References: Alpaydin, Kaynak (1998), Cascading classifiers; UCI, Optical recognition of handwritten digits.

    >>> data = Digits().load()
    >>> data.spec.shape, data.spec.levels, len(data.train), len(data.validation), len(data.test)
    ((1, 8, 8), 17, 1258, 180, 359)
    """

    def __init__(
        self,
        validation: Annotated[float, Ge(0)] = 0.1,
        test: Annotated[float, Ge(0)] = 0.2,
        seed: Annotated[int, Ge(0)] = 0,
        limit: Annotated[int, Ge(1)] | None = None,
        context: tuple[str, ...] = (),
    ) -> None:
        self.shares = Shares(validation, test, seed, limit)
        self.context = context

    def load(self) -> Dataset:
        try:
            datasets = importlib.import_module("sklearn.datasets")
        except ImportError:
            raise MissingExtraError("scikit-learn", "sklearn", "the embedded digits data") from None
        digits = datasets.load_digits()
        x = torch.from_numpy(digits.images).round().to(torch.uint8).unsqueeze(1)
        pool = Pool(x, torch.from_numpy(digits.target).long())
        preparation = Preparation((1, 8, 8), levels=LEVELS, classes=tuple("0123456789"))
        return assemble("digits", pool, preparation, self.shares, context=self.context)
