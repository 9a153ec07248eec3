"""Whatever a user has in hand → rows for a run; and which source a path is for."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from vaekit.core import DataSpec
from vaekit.data.arrow_files import SUFFIXES as TABLE_SUFFIXES
from vaekit.data.assemble import Stored, understood
from vaekit.data.attributes import ATTRIBUTES, read_attributes
from vaekit.data.context import LABEL, read_column
from vaekit.data.dataset import Dataset, Preparation, Rows
from vaekit.data.decode import SUFFIXES as IMAGE_SUFFIXES
from vaekit.data.decode import is_deep, to_pixels
from vaekit.data.folder import existing, folders_of, list_images, readable
from vaekit.data.ids import Names
from vaekit.data.labels import UNKNOWN, read_labels
from vaekit.data.resident import ResidentRows
from vaekit.data.splits import Shares
from vaekit.data.stored import SUFFIXES as ARRAY_SUFFIXES
from vaekit.data.stored import holds_sets, read_stored
from vaekit.data.streamed import StreamedRows, settle
from vaekit.data.tabular import read_table
from vaekit.data.values import as_array, prepare
from vaekit.errors import DataError

Readable: TypeAlias = Path | str | NDArray[Any] | Tensor | Image.Image | Sequence[Any] | Rows
MEMORY = 512 * 2**20  # bytes; larger folders are streamed


def read(what: Readable, preparation: Preparation, spec: DataSpec) -> Rows:
    """Rows for a run out of anything a user has in hand, brought into shape as the training data was.

    `what` is a folder of images, an image file, a `.npy` or `.npz` file, an array or tensor (one example or many), a
    PIL image or a list of them, or rows; for runs on tables also a `.csv` or `.parquet` file or a DataFrame, whose columns
    are found by name. The order is kept (files: sorted by name), and `ids` say where each row is from.
    Raises `DataError` with both shapes where they do not fit, and for all that the sources refuse.
    """
    if isinstance(what, Rows):
        return _fitting(what, spec)
    if images := [what] if isinstance(what, Image.Image) else _images_in(what):
        return _read_images(images, preparation, spec)
    if preparation.names:
        return read_table(what, preparation, spec)
    if isinstance(what, str | Path):
        return _read_path(Path(what).expanduser(), preparation, spec)
    return _rows(prepare(as_array(what, "data", axes=1), preparation, "data"), spec)


def from_arrays(
    x: Readable,
    labels: Any = None,
    *,
    columns: Mapping[str, Any] | None = None,
    context: Sequence[str] = (),
    validation: float = 0.1,
    test: float = 0.1,
    seed: int = 0,
    name: str = "array",
    levels: int | None = None,
    limit: int | None = None,
) -> Dataset:
    """The dataset of an array or tensor in hand, by the rules of the source `array`; shares may be zero.

    `columns` are further arrays with a row for each of `x`, and `context` those that condition the model (or `label`).

    A list of PIL images of one size is taken as 8-bit images. Raises `DataError` as that source does.

    >>> data = from_arrays(np.arange(30, dtype=np.float32).reshape(10, 3), validation=2, test=0)
    >>> len(data.train), len(data.validation), len(data.test), data.spec.shape, data.spec.levels
    (8, 2, 0, (3,), None)
    """
    if images := _images_in(x):
        x = _stacked(images)
    columns = columns or {}
    stored = Stored(as_array(x, name), labels, name, columns, tuple(columns))
    return understood(name, {"train": stored}, levels, Shares(validation, test, seed, limit), context)


def detect(path: str | Path) -> tuple[str, dict[str, Any]]:
    """The source that reads a path, and its arguments: a folder of images, a table, array files, or a folder with two.

    Raises `DataError` for a path that does not exist or that no source reads.

    >>> detect("nowhere.npz")
    Traceback (most recent call last):
    vaekit.errors.DataError: expected data at nowhere.npz, but there is nothing
    """
    place = existing(Path(path).expanduser())
    if place.is_dir():
        try:
            return ("array" if holds_sets(place) else "images"), {"path": str(path)}
        except OSError as error:
            raise DataError(f"expected to read {place}, got: {error}.\n  fix: check its permissions") from None
    if place.suffix in ARRAY_SUFFIXES:
        return "array", {"path": str(path)}
    if place.suffix.lower() in TABLE_SUFFIXES:
        return "table", {"path": str(path)}
    raise DataError(
        f"{place}: expected a folder of images, a .csv, .parquet, .npy or .npz file, or a folder with array files for "
        f"train and test, got a file '{place.suffix or place.name}'.\n  fix: "
        + (
            "give the folder it lies in"
            if place.suffix.lower() in IMAGE_SUFFIXES
            else "save it with np.savez(path, x=...)"
        )
    )


def _fitting(rows: Rows, spec: DataSpec) -> Rows:
    if (rows.spec.shape, rows.spec.levels) != (spec.shape, spec.levels):
        raise DataError(
            f"expected rows of shape {spec.shape} with {_kind(spec.levels)}, as the run was trained on, "
            f"got {rows.spec.shape} with {_kind(rows.spec.levels)}"
        )
    return rows


def _images_in(what: Readable) -> list[Image.Image]:
    """The PIL images of a list that holds nothing else."""
    items = list(what) if isinstance(what, Sequence) else []
    images = [item for item in items if isinstance(item, Image.Image)]
    return images if len(images) == len(items) else []


def _kind(levels: int | None) -> str:
    return "continuous values" if levels is None else f"{levels} levels"


def _rows(
    x: Tensor, spec: DataSpec, labels: Tensor | None = None, columns: Mapping[str, Any] | None = None, where: str = ""
) -> ResidentRows:
    """Rows in memory, with the entries of the run's context; those that the data does not have are unknown."""
    context = {
        name: read_column(name, columns[name], len(x), where, entry).values
        if columns and name in columns
        else entry.unknown(len(x))
        for name, entry in spec.context.items()
    }
    if LABEL in context and labels is not None:
        context[LABEL] = labels.masked_fill(labels >= len(spec.context[LABEL].classes), UNKNOWN)
    return ResidentRows(x, spec, labels, context=context)


def _read_path(path: Path, preparation: Preparation, spec: DataSpec) -> Rows:
    if existing(path).is_dir():
        return _read_folder(path, list_images(path)[0], preparation, spec)
    if path.suffix.lower() in IMAGE_SUFFIXES:
        return _read_folder(path.parent, Names([path.name]), preparation, spec)
    if path.suffix.lower() in TABLE_SUFFIXES:
        raise DataError(
            f"{path}: got a table, but the run was trained on arrays of shape {preparation.shape}.\n"
            "  fix: give an array (.npy, .npz), or train on the table: --data TABLE.csv"
        )
    stored = read_stored(path, tuple(spec.context))
    x, labels = prepare(stored.x, preparation, stored.where), None
    if stored.labels is not None:
        labels, _ = read_labels(stored.labels, len(x), preparation.classes, f"{stored.where}: labels")
    return _rows(x, spec, labels, stored.columns, stored.where)


def _read_folder(root: Path, listed: Names, preparation: Preparation, spec: DataSpec) -> Rows:
    _takes_images(preparation, str(root))
    names, _, remarks = readable(root, listed)
    _, classes, found = folders_of(names)
    labels = None
    if found is not None and set(classes) & set(preparation.classes):
        known = {name: number for number, name in enumerate(preparation.classes)}
        labels = torch.tensor([known.get(name, UNKNOWN) for name in classes])[torch.from_numpy(found)]
    context = {name: entry.unknown(len(names)) for name, entry in spec.context.items()}
    context |= beside(root, names, spec)
    if LABEL in context and labels is not None:
        context[LABEL] = labels
    (rows,), broken = settle([StreamedRows(root, names, spec, preparation, labels, context)], MEMORY)
    for remark in remarks + broken:
        warnings.warn(remark, stacklevel=4)
    return rows


def beside(root: Path, names: Sequence[str], spec: DataSpec) -> dict[str, Tensor]:
    """The entries that a table `attributes.csv` in the folder has, as a balanced set brings it along."""
    table = root / ATTRIBUTES
    if not spec.context or not table.is_file():
        return {}
    found = read_attributes(table, names)
    where = str(table)
    return {
        name: read_column(name, found[name], len(names), where, entry).values
        for name, entry in spec.context.items()
        if name in found
    }


def _read_images(images: Sequence[Image.Image], preparation: Preparation, spec: DataSpec) -> Rows:
    _takes_images(preparation, "PIL images")
    if any(is_deep(image) for image in images):
        warnings.warn("images with 16 bits a channel are reduced to 8 (65535 becomes 255)", stacklevel=3)
    return _rows(torch.from_numpy(_pixels(images, preparation)), spec)


def _pixels(images: Sequence[Image.Image], preparation: Preparation) -> NDArray[np.uint8]:
    """Images in hand as levels (n, C, H, W). Copies are worked on: what the caller holds stays as it is."""
    x = np.empty((len(images), *preparation.shape), np.uint8)
    for i, image in enumerate(images):
        try:
            x[i] = to_pixels(image.copy(), preparation)
        except (OSError, ValueError) as error:
            raise DataError(f"PIL image {i}: expected readable 8- or 16-bit pixels, got: {error}") from None
    return x


def _takes_images(preparation: Preparation, where: str) -> None:
    shape = preparation.shape
    if len(shape) != 3 or shape[0] not in (1, 3) or preparation.levels is None:
        raise DataError(
            f"{where}: got images, but the run was trained on arrays of shape {shape} with {_kind(preparation.levels)}.\n"
            "  fix: give an array of that shape in the units of the training data"
        )


def _stacked(images: Sequence[Image.Image]) -> NDArray[np.uint8]:
    sizes = {image.size for image in images}
    if len(sizes) > 1:
        raise DataError(
            f"PIL images: expected one size, got {len(sizes)} sizes, among them {sorted(sizes)[:3]} (width, height).\n"
            "  fix: resize them, or save them into a folder, which is fitted to one size"
        )
    ((width, height),) = sizes
    grey = all(image.mode in ("1", "L") for image in images)
    preparation = Preparation((1 if grey else 3, height, width), levels=256)
    return _pixels(images, preparation)
