"""Arrays in `.npy` and `.npz` files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from annotated_types import Ge, Le

from vaekit.data.assemble import understood
from vaekit.data.dataset import Dataset
from vaekit.data.sources import Source
from vaekit.data.splits import Shares
from vaekit.data.stored import given_sets, name_of, read_stored
from vaekit.errors import DataError


class Array(Source):
    """Images or rows of numbers from a `.npy` or `.npz` file, or from a folder with a *train* and a *test* file.

    A `.npz` file holds `images`, `x` or `X`, and possibly `labels` or `y`. Images are (n, H, W), (n, H, W, C) or
    (n, C, H, W); rows are (n, D). uint8 has 256 levels; bool and integers that are all 0 or 1 have 2; floats are
    continuous, and are modelled standardized by the mean and the scale of the training rows, per column of rows and as
    one number for images: figures stay in the data's own units. The set is named after its file. Nothing is unpickled.

    Arguments:
        path: the file, or a folder with one file that has `train` in its name, one with `test`, perhaps one with `val`.
            Runs on arrays in memory have none, and cannot open their data again.
        levels: the number of levels, where the rule above does not fit: 8-bit values are reduced to fewer equal bins,
            and whole floats, or floats in [0, 1] on a grid, are counted.
        validation: the share held out to choose the weights on, a fraction below 1 or a count, where the path does not give
            the set itself.
        test: the share held out for evaluation, said in the same way.
        seed: of the split.
        limit: at most so many rows of each file, for a quick trial.
        context: entries that condition the model: `label`, or any other array of the `.npz` file with a row for each of
            the data's: text and whole numbers are classes (−1: unknown), floats are numbers (NaN: unknown), (n,) or (n, d).

    Raises `DataError` for a missing or unreadable file, an unknown key, a wrong dtype or shape, NaN or infinity, values
    outside the levels, labels of another length, and too few rows.
    """

    def __init__(
        self,
        path: str | None,
        levels: Annotated[int, Ge(2), Le(256)] | None = None,
        validation: Annotated[float, Ge(0)] = 0.1,
        test: Annotated[float, Ge(0)] = 0.1,
        seed: Annotated[int, Ge(0)] = 0,
        limit: Annotated[int, Ge(1)] | None = None,
        context: tuple[str, ...] = (),
    ) -> None:
        self.path = None if path is None else Path(path).expanduser()
        self.levels = levels
        self.shares = Shares(validation, test, seed, limit)
        self.context = context

    def load(self) -> Dataset:
        if self.path is None:
            raise DataError(
                "the run was trained on arrays in memory, which cannot be opened again.\n  fix: give a path"
            )
        files = given_sets(self.path)
        sets = {split: read_stored(file, self.context) for split, file in files.items()}
        return understood(name_of(files["train"]), sets, self.levels, self.shares, self.context)
