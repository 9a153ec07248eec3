"""Shared by all tests: helper modules beside a test can be imported by name; threads are few, for two cores."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
import torch


def pytest_configure(config: pytest.Config) -> None:
    torch.set_num_threads(1)  # the tests run in as many processes as there are cores


os.environ.setdefault("SCIPY_ARRAY_API", "1")  # so that scikit-learn's checks skip nothing

for folder in ("engine",):
    sys.path.insert(0, str(Path(__file__).parent / folder))
