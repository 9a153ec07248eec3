"""Fixtures of the data tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from data_makers import picture


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of `count` pictures, in sub-folders `classes` in turn where these are given."""

    def make(
        count: int = 12,
        height: int = 20,
        width: int = 24,
        channels: int = 3,
        suffix: str = "png",
        classes: tuple[str, ...] = (),
        name: str = "pictures",
    ) -> Path:
        root = tmp_path / name
        for i in range(count):
            place = root / classes[i % len(classes)] if classes else root
            place.mkdir(parents=True, exist_ok=True)
            picture(i, height, width, channels).save(place / f"{i:03}.{suffix}")
        return root

    return make


@pytest.fixture(autouse=True)
def no_data_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine has in VAEKIT_DATA must not decide a test."""
    monkeypatch.delenv("VAEKIT_DATA", raising=False)
