"""A folder of images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from annotated_types import Ge
from torch import Tensor

from vaekit.core import DataSpec
from vaekit.data.attributes import check_path, columns_of_folder
from vaekit.data.context import LABEL, Column, describe, missing_values, read_column, wanted
from vaekit.data.dataset import Dataset, Fit, Preparation
from vaekit.data.folder import (
    Headers,
    choose_channels,
    choose_size,
    content_sample,
    folders_of,
    list_images,
    readable,
)
from vaekit.data.ids import Names
from vaekit.data.published import is_reserved
from vaekit.data.sources import Source
from vaekit.data.splits import Shares, fingerprint, parts_of, shuffled
from vaekit.data.streamed import StreamedRows, settle
from vaekit.data.values import SMALLEST
from vaekit.errors import DataError


class Images(Source):
    """A folder of PNG, JPEG, WebP, BMP, TIFF and GIF files, of any and mixed sizes, with 256 levels.

    Sub-folders are classes. Top folders `train` and `validation` or `test` are the splits; what is missing is taken
    from the training files. Files are turned upright, laid over white where transparent, and fitted to one size
    (`Preparation` has the policy); 16-bit files are reduced to 8 bits. Files that cannot be read are named and left
    out. A folder that fits into `memory_mb` is one tensor in memory; a larger one is decoded by background threads in
    every epoch.

    Arguments:
        path: the folder.
        size: the side of a square, (height, width), or (channels, height, width) with 1 or 3 channels. Not given: the
            files' own, at most 64 pixels on the shorter side. Channels not given: grey if all files are, else RGB.
        fit: `crop` (scale and cut the centre), `pad` (scale and fill with black), `stretch`.
        validation: the share held out to choose the weights on, a fraction below 1 or a count.
        test: the share held out for evaluation, said in the same way.
        seed: of the split.
        limit: at most so many files, for a quick trial.
        memory_mb: beyond so many decoded megabytes (2²⁰ bytes) the folder is streamed.
        context: entries that condition the model: `label` (the sub-folder), or columns of the table `attributes`.
        attributes: a `.csv` or `.npz` table with a column `file` (names below the folder) and others: text and whole
            numbers are classes, other numbers are numbers; embeddings are arrays (n, d) of a `.npz`. A column `label` counts
            where there are no sub-folders.

    Raises `DataError` for a folder that is missing, empty or unreadable, with more than a fifth of its files broken, or
    with images smaller than 8×8.
    """

    def __init__(
        self,
        path: str,
        size: Annotated[int, Ge(SMALLEST)] | tuple[int, ...] | None = None,
        fit: Fit = "crop",
        validation: Annotated[float, Ge(0)] = 0.1,
        test: Annotated[float, Ge(0)] = 0.1,
        seed: Annotated[int, Ge(0)] = 0,
        limit: Annotated[int, Ge(1)] | None = None,
        memory_mb: Annotated[int, Ge(0)] = 512,
        context: tuple[str, ...] = (),
        attributes: str | None = None,
    ) -> None:
        self.root = Path(path).expanduser()
        self.size = _checked_size(size)
        self.fit = fit
        self.shares = Shares(validation, test, seed, limit)
        self.memory = memory_mb * 2**20
        self.context, self.attributes = context, check_path(attributes)

    def load(self) -> Dataset:
        listed, others = list_images(self.root)
        listed = self._limited(listed)
        names, headers, remarks = readable(self.root, listed)
        if others:
            remarks += (f"{self.root}: files that are no images are left alone: {others}",)
        shape, chosen = self._shape(names, headers)
        codes, classes, labels = folders_of(names)
        parts = parts_of(codes, self.shares, labels, where=str(self.root))
        indices = (parts.train, parts.validation, parts.test)
        preparation = Preparation(shape, levels=256, fit=self.fit, classes=classes)
        numbers = None if labels is None else torch.from_numpy(labels)
        columns = self._columns(names, None if numbers is None else Column(numbers, classes))
        train_rows = torch.from_numpy(parts.train)
        entries = {key: describe(column, train_rows, f"{self.root}: {key}") for key, column in columns.items()}
        spec = DataSpec(shape, levels=256, classes=classes, context=entries)
        context = {key: column.values for key, column in columns.items()}
        whole = StreamedRows(self.root, names, spec, preparation, numbers, context)
        splits, broken = settle([whole.select(torch.from_numpy(index)) for index in indices], self.memory)
        train, validation, test = splits
        mark = fingerprint([*content_sample(self.root, listed), *indices, *self._marked(context, labels is not None)])
        name = self.root.resolve().name or "images"
        name = f"{name}-folder" if is_reserved(name) else name
        remarks += chosen + broken + tuple(missing_values(columns, str(self.root)))
        return Dataset(name, spec, preparation, train, validation, test, mark, remarks)

    def _columns(self, names: Names, label: Column | None) -> dict[str, Column]:
        """The columns that condition, in the order of the files."""
        found = columns_of_folder(self.attributes, names, self.context)
        columns = {key: read_column(key, values, len(names), str(self.root)) for key, values in found.items()}
        if label is not None:
            columns.pop(LABEL, None)  # the sub-folder is the label
        return wanted(self.context, ({} if label is None else {LABEL: label}) | columns, str(self.root))

    @staticmethod
    def _marked(context: Mapping[str, Tensor], in_names: bool) -> list[Tensor]:
        """What the fingerprint covers besides the files; labels that are sub-folders are in their names."""
        return [values for key, values in context.items() if key != LABEL or not in_names]

    def _limited(self, names: Names) -> Names:
        if self.shares.limit is None or len(names) <= self.shares.limit:
            return names
        labels = folders_of(names)[2]
        return Names(
            names[int(i)] for i in np.sort(shuffled(len(names), self.shares.seed, labels)[: self.shares.limit])
        )

    def _shape(self, names: Names, headers: Headers) -> tuple[tuple[int, int, int], tuple[str, ...]]:
        remarks: tuple[str, ...] = ()
        size = self.size
        if not size:
            size, remarks = choose_size(headers, self.root)
        if len(size) == 3:
            return (size[0], size[1], size[2]), remarks
        channels, more = choose_channels(self.root, names, headers)
        return (channels, size[0], size[1]), remarks + more


def _checked_size(size: int | tuple[int, ...] | None) -> tuple[int, ...]:
    """(height, width), (channels, height, width), or () where it is to be found."""
    if size is None:
        return ()
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) not in (2, 3) or min(sides[-2:]) < SMALLEST or (len(sides) == 3 and sides[0] not in (1, 3)):
        raise DataError(
            f"`size`: expected a side of at least {SMALLEST}, [height, width] or [channels, height, width] with 1 or 3 "
            f"channels, got {size}"
        )
    return sides
