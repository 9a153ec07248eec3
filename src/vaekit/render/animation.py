"""Moving pictures: GIF, animated PNG or WebP."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from PIL import Image
from torch import Tensor

from vaekit.core import DataSpec
from vaekit.errors import ConfigError, DataError
from vaekit.render.files import writing
from vaekit.render.grid import grid
from vaekit.render.pixels import Window

FORMATS = {".gif": "GIF", ".png": "PNG", ".apng": "PNG", ".webp": "WEBP"}


def frames(
    x: Tensor, spec: DataSpec, columns: int | None = None, *, window: Window | None = None, factor: int | None = None
) -> list[Image.Image]:
    """One grid for each step of `(steps, n, *shape)`, in data units; all steps share one window."""
    window = window if window is not None else Window.of(spec, x)
    return [grid(step, spec, columns, window=window, factor=factor) for step in x]


def animate(pictures: Sequence[Image.Image], path: str | Path, *, seconds: float = 0.1, bounce: bool = True) -> Path:
    """Write pictures of one size as an animation that repeats for ever. The suffix of `path` says which format.

    Args:
        pictures: the frames, in order.
        path: `.gif` (plays everywhere, 256 colours), `.png` or `.apng`, or `.webp` (both in full colour).
        seconds: each frame stands.
        bounce: go back the way it came, instead of jumping to the start.
    """
    path = Path(path)
    kind = FORMATS.get(path.suffix.lower())
    if kind is None:
        raise ConfigError(f"{path}: expected a file that ends in {', '.join(FORMATS)} for an animation")
    if not pictures:
        raise DataError("expected at least one frame for an animation, got none")
    order = [*pictures, *reversed(pictures[1:-1])] if bounce else list(pictures)
    with writing(path) as file:
        order[0].save(file, kind, save_all=True, append_images=order[1:], **options(kind, seconds))
    return path


def options(kind: str, seconds: float) -> dict[str, Any]:
    """What each format wants to be told."""
    common: dict[str, Any] = {"duration": round(1000 * seconds), "loop": 0}
    return common | {"GIF": {"optimize": True}, "PNG": {}, "WEBP": {"lossless": True}}[kind]
