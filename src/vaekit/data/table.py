"""Tables of numbers in `.csv`, `.parquet`, `.npz` and `.npy` files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from annotated_types import Ge

from vaekit.data.dataset import Dataset, Missing
from vaekit.data.frame import SUFFIXES, Frame, Roles, read_frame, settle_in_hand
from vaekit.data.sources import Source
from vaekit.data.splits import Shares
from vaekit.data.stored import name_of
from vaekit.data.tabular import dataset_of
from vaekit.errors import DataError


class Table(Source):
    """Rows of numbers with named columns, from a `.csv`, `.parquet`, `.npz` or `.npy` file, or from a DataFrame in hand.

    All numbers are continuous, whole ones too, and truth values are 0 and 1; they are modelled standardized by the mean
    and the scale of the training rows, per column. Files without names have the columns x0, x1, ...: `.npz` and `.npy`
    files, and a `.csv` file whose first line holds numbers. A column without a name is an index, and is left out.

    Arguments:
        path: the file. Runs on tables in memory have none, and cannot open their data again.
        columns: the columns to model; by default all that are left.
        ignore: columns to leave out.
        label: the column of classes, which is not modelled; an `.npz` file has them in `labels` or `y`.
        normal: the class to train on. Rows of other classes, and those without one, go into the test split, all of them.
        id: the column that names the rows, which is not modelled.
        missing: what is done about empty cells and NaN: `error` refuses them, `drop` leaves such rows out, `observed`
            keeps them, and the bound counts what is there.
        validation: the share held out to choose the weights on, a fraction below 1 or a count.
        test: the share held out for evaluation, said in the same way.
        seed: of the split.
        limit: at most so many rows, for a quick trial.
        context: columns that condition the model, which are not modelled: `label`, or any other; text and whole numbers
            are classes, floats are numbers. An `.npz` file may have them as further arrays.

    Raises `DataError` for a missing, unreadable or empty file, names that come twice or are unknown, text among the
    numbers, missing and infinite values, columns that are all constant, and too few rows; `MissingExtraError` where
    pyarrow is not installed.
    """

    suffixes: ClassVar[tuple[str, ...]] = SUFFIXES

    def __init__(
        self,
        path: str | None,
        columns: tuple[str, ...] = (),
        ignore: tuple[str, ...] = (),
        label: str | None = None,
        normal: str | int | bool | None = None,
        id: str | None = None,
        missing: Missing = "error",
        validation: Annotated[float, Ge(0)] = 0.1,
        test: Annotated[float, Ge(0)] = 0.1,
        seed: Annotated[int, Ge(0)] = 0,
        limit: Annotated[int, Ge(1)] | None = None,
        context: tuple[str, ...] = (),
    ) -> None:
        self.path = None if path is None else Path(path).expanduser()
        named = str(normal).lower() if isinstance(normal, bool) else str(normal)
        self.roles = Roles(
            tuple(columns), tuple(ignore), label, None if normal is None else named, id, missing, tuple(context)
        )
        self.shares = Shares(validation, test, seed, limit)

    def load(self) -> Dataset:
        if self.path is None:
            raise DataError(
                "the run was trained on a table in memory, which cannot be opened again.\n  fix: give a path"
            )
        frame, roles = read_frame(self.path, self.roles.settled)
        return dataset_of(name_of(self.path), frame, roles, self.shares)

    def divide(self, frame: Frame, name: str) -> Dataset:
        """The dataset of a table in hand, under a name."""
        return dataset_of(name, *settle_in_hand(frame, self.roles.settled), self.shares)
