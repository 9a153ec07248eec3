"""Arrays → tensors: what the numbers are (levels or continuous), their layout, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vaekit.data.dataset import Preparation
from vaekit.errors import DataError

NumberArray = NDArray[Any]
SMALLEST = 8  # pixels on a side: what networks can still halve
ROUNDING = 1e-3  # how far from a whole number a level may lie after float32 arithmetic


def as_array(values: Any, where: str, axes: int = 2) -> NumberArray:
    """Anything array-like as a NumPy array of numbers with at least one row and `axes` axes.

    Raises `DataError` for object, text, complex and other dtypes, no rows, or fewer axes.
    """
    if isinstance(values, list | tuple):
        values = [value.detach().cpu() if isinstance(value, Tensor) else value for value in values]
    if isinstance(values, Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype == torch.bfloat16 else values
    try:
        x = np.asarray(values)
    except ValueError as error:
        raise DataError(f"{where}: expected rows of equal length, got {error}") from None
    check_numbers(x, where)
    if x.ndim < axes or 0 in x.shape:
        raise DataError(
            f"{where}: expected at least one row of at least one number, got an array of shape {x.shape}.\n"
            "  fix: give images (n, H, W) or (n, H, W, C), or rows (n, D)"
        )
    return x


def check_numbers(x: NumberArray, where: str) -> None:
    """Raises `DataError` where `x` has a dtype that is not bool, integer or real."""
    if x.dtype.kind not in "buif":
        fix = "objects are never unpickled; save one array of numbers" if x.dtype.kind == "O" else "convert to numbers"
        raise DataError(f"{where}: expected a dtype of numbers (uint8, float32, ...), got {x.dtype}.\n  fix: {fix}")


def check_finite(x: NumberArray, where: str) -> None:
    """Raises `DataError` with the count and the first place where `x` is NaN or infinite."""
    if x.dtype.kind != "f":
        return
    bad = ~np.isfinite(x)
    if bad.any():
        rows = np.flatnonzero(bad.reshape(len(x), -1).any(1))
        first = tuple(int(i) for i in np.argwhere(bad[rows[0]])[0])
        raise DataError(
            f"{where}: expected finite numbers, got NaN or infinity in {len(rows)} of {len(x)} rows, "
            f"first in row {rows[0]} at {first}.\n  fix: drop these rows, or fill the values in"
        )


def understand(x: NumberArray, levels: int | None, where: str) -> tuple[Preparation, tuple[str, ...]]:
    """How arrays like the training array `x` are prepared, and remarks on what was decided.

    uint8 has 256 levels; bool, and integers that are all 0 or 1, have 2; other integers are levels in images and
    continuous in rows; floats are continuous. `levels` asks for a count instead.
    """
    check_finite(x, where)
    shape = _layout(x.shape, where)
    low, high = float(x.min()), float(x.max())
    discrete = x.dtype.kind != "f"
    remarks: tuple[str, ...] = ()
    if levels is not None:
        return _counted(x, shape, levels, high, where)
    if discrete and low >= 0 and high <= 1:
        return Preparation(shape, levels=2), ()
    if x.dtype == np.uint8 or (discrete and len(shape) == 3):
        return Preparation(shape, levels=256), ()
    if discrete:
        remarks = (f"{where}: rows of {x.dtype} are taken as continuous; set `levels` to count them",)
    elif low >= 0 and high <= 1 and ((x == 0) | (x == 1)).all():
        remarks = (f"{where}: all values are 0 or 1, taken as continuous; set `levels: 2` to count them",)
    elif len(shape) == 3:
        remarks = (f"{where}: float images are taken as continuous; store them as uint8 to count grey levels",)
    return Preparation(shape), remarks


def _counted(
    x: NumberArray, shape: tuple[int, ...], levels: int, high: float, where: str
) -> tuple[Preparation, tuple[str, ...]]:
    """The same where a count of levels is asked for. Raises `DataError` if the reduction to it would leave one value."""
    raw = _raw_levels(x, levels, high)
    if raw == levels:
        return Preparation(shape, levels, raw), ()
    if x.dtype.kind != "f" and high * levels < raw:
        raise DataError(
            f"{where}: expected values below {levels}, the levels asked for, or 8-bit values up to 255; got values up to "
            f"{high:.0f}.\n  fix: set levels to {high + 1:.0f}"
        )
    return Preparation(shape, levels, raw), (f"{where}: values are reduced from {raw} to {levels} levels",)


def _raw_levels(x: NumberArray, levels: int, high: float) -> int:
    """How many levels `x` has before it is reduced to `levels`: as many, unless the values need all 256."""
    if x.dtype.kind == "f" and high <= 1:
        scaled = x * (levels - 1)
        return levels if np.abs(np.rint(scaled) - scaled).max() < ROUNDING else 256
    return levels if high < levels else 256


def _layout(shape: tuple[int, ...], where: str) -> tuple[int, ...]:
    """One example's shape: (D,), or (C, H, W) where the smaller of the second and the last axis are the channels."""
    if len(shape) == 2:
        return shape[1:]
    if len(shape) == 3:
        found = (1, *shape[1:])
    elif len(shape) == 4 and shape[1] != shape[3]:
        found = shape[1:] if shape[1] < shape[3] else (shape[3], shape[1], shape[2])
    else:
        raise DataError(
            f"{where}: expected rows (n, D) or images (n, H, W), (n, H, W, C) or (n, C, H, W), got shape {shape}"
        )
    if min(found[1:]) < SMALLEST:
        raise DataError(
            f"{where}: expected images of at least {SMALLEST}×{SMALLEST} pixels, got {found[1]}×{found[2]} "
            f"(array of shape {shape}).\n  fix: pad or enlarge them, or give them as rows (n, {math.prod(found)})"
        )
    return found


def prepare(x: NumberArray, preparation: Preparation, where: str) -> Tensor:
    """Arrays in any of the accepted layouts → raw rows (n, *shape): uint8 levels, or float32 in their own units.

    Raises `DataError` where the shape does not fit (both are named) or values lie outside the levels.
    """
    check_finite(x, where)
    x = _arrange(x, preparation.shape, where)
    if preparation.levels is not None:
        x = _to_levels(x, preparation, where)
    else:
        with np.errstate(over="ignore"):
            x = np.asarray(x, dtype=np.float32)
        check_finite(x, f"{where} as float32")
    return torch.from_numpy(np.require(x, requirements=["C", "W"]))


def _arrange(x: NumberArray, shape: tuple[int, ...], where: str) -> NumberArray:
    given = x.shape
    if given == shape or x.ndim == 1:
        x = x[None]  # a single example
    if x.shape[1:] == shape:
        return x
    if len(shape) == 3:
        if shape[0] == 1 and x.shape[-2:] == shape[1:] and x.ndim in (2, 3):
            return x.reshape(-1, *shape)
        if x.ndim in (3, 4) and x.shape[-3:] == (*shape[1:], shape[0]):
            return np.moveaxis(x.reshape(-1, *x.shape[-3:]), -1, 1)
        if x.ndim == 2 and x.shape[1] == math.prod(shape):
            return x.reshape(-1, *shape)
    raise DataError(
        f"{where}: expected data of shape {('n', *shape)}".replace("'n'", "n") + f", got {given}.\n"
        "  fix: resize or select to that shape; image files and PIL images are resized for you"
    )


def _to_levels(x: NumberArray, preparation: Preparation, where: str) -> NDArray[np.uint8]:
    levels, raw = preparation.levels, preparation.raw_levels
    assert levels is not None and raw is not None
    low, high = float(x.min()), float(x.max())
    if x.dtype.kind == "f":
        # Floats in [0, 1] that are k / (raw − 1) are levels somebody divided: undone without loss.
        scaled = x * (raw - 1) if low >= 0 and high <= 1 else x
        x = np.rint(scaled)
        if np.abs(x - scaled).max() > ROUNDING:
            raise DataError(
                f"{where}: expected the levels 0 to {raw - 1}, got numbers between them (from {low:g} to {high:g}).\n"
                f"  fix: round to levels, e.g. (x * {raw - 1}).round().astype('uint8') for x in [0, 1]; "
                "or train on continuous data"
            )
        low, high = float(x.min()), float(x.max())
    if low < 0 or high > raw - 1:
        raise DataError(
            f"{where}: expected the levels 0 to {raw - 1}, got values from {low:g} to {high:g}.\n"
            f"  fix: scale the values to that range{', or set `levels`' if raw < 256 else ' (16-bit: divide by 257)'}"
        )
    if raw != levels:
        x = x.astype(np.int64) * levels // raw
    return np.asarray(x, dtype=np.uint8)


def standardization(
    x: Tensor, train: Tensor, preparation: Preparation, where: str
) -> tuple[tuple[float, ...], tuple[float, ...], tuple[str, ...]]:
    """Mean, scale and remarks of the rows `train` (m,) of continuous data `x` (n, *shape): per column, one for images.

    Constant columns get scale 1; NaN is what was not observed, and counts for nothing. Raises `DataError` for a column
    without any value.
    """
    if preparation.levels is not None:
        return (0.0,), (1.0,), ()
    columns = x[train] if x.ndim == 2 else x[train].reshape(-1, 1)
    gaps = columns.isnan()
    count = (~gaps).sum(0).double()
    if gaps.any():
        _check_observed(count, preparation, where)
    mean = columns.nansum(0, dtype=torch.float64) / count
    parts = torch.split(columns, max(1, 2**22 // columns.shape[1]))  # no copy of everything in float64
    variance = torch.stack([((part.double() - mean) ** 2).nansum(0) for part in parts]).sum(0) / count
    low, high = (columns.where(~gaps, end) if gaps.any() else columns for end in (math.inf, -math.inf))
    constant = low.amin(0) == high.amax(0)
    scale = torch.where(constant, 1.0, variance.sqrt())
    remarks: tuple[str, ...] = ()
    if constant.any():
        which = constant.nonzero().flatten().tolist()
        shown = named(which, preparation.names)
        remarks = (f"{where}: constant in the training rows, so not scaled: {len(which)} columns ({shown})",)
    if bool((~constant & (mean.abs() > 1e5 * scale)).any()):
        remarks += (f"{where}: some columns vary little around a large mean and lose digits in float32; subtract it",)
    return tuple(mean.tolist()), tuple(scale.tolist()), remarks


def _check_observed(count: Tensor, preparation: Preparation, where: str) -> None:
    empty = (count == 0).nonzero().flatten().tolist()
    if empty:
        shown = named(empty, preparation.names)
        raise DataError(
            f"{where}: expected some value of every column in the training rows, got none of {shown}.\n"
            f"  fix: leave them out: --set 'data.ignore=[{shown}]'"
        )


def named(which: Sequence[int], names: Sequence[str]) -> str:
    """Columns for a message, by their names where they have any; the first eight of them.

    >>> named([0, 2], ["age", "sex", "fare"])
    'age, fare'
    """
    return ", ".join(names[i] if names else str(i) for i in which[:8]) + (", ..." if len(which) > 8 else "")
