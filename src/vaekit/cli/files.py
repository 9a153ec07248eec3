"""Where results go. A default place in the run's directory may be replaced; a file that was asked for is never
overwritten unasked."""

from __future__ import annotations

import os
from pathlib import Path

from vaekit.errors import ConfigError


def place(output: str | None, default: Path, force: bool) -> Path:
    """Where to write: `output` if it is free, else the default place.

    Raises `ConfigError` if `output` is there already and may not be replaced, or if its folder does not exist.
    """
    if output is None:
        return default
    path = Path(output)
    check_free(path, force)
    return path


def check_free(path: Path, force: bool) -> None:
    """Raise `ConfigError` if something stands there, or if there is no folder to write in."""
    taken = path.exists() and not (path.is_dir() and not any(path.iterdir()))
    if taken and (not force or path.is_dir()):
        fix = "another name" if path.is_dir() else "another name, or --force to overwrite it"
        raise ConfigError(f"{path}: exists already and is not overwritten.\n  fix: -o with {fix}")
    if not path.parent.is_dir():
        raise ConfigError(f"{path}: there is no folder {path.parent}.\n  fix: mkdir -p {path.parent}")


def write_new(path: Path, text: str, force: bool) -> None:
    """Write a text file that must not be there yet."""
    check_free(path, force)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
