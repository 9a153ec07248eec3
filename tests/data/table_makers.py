"""Makes tables, and files of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from vaekit.data.dataset import Rows

ROLES: dict[str, Any] = {"label": "kind", "id": "ticket"}


def people(n: int = 40) -> pd.DataFrame:
    """A table with whole numbers, truth values, text, classes and names."""
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "age": rng.integers(18, 80, n),
            "fare": rng.normal(30, 5, n).round(3),
            "member": rng.random(n) < 0.5,
            "kind": np.where(np.arange(n) % 5 == 0, "fraud", "good"),
            "ticket": [f"t{i:03}" for i in range(n)],
            "height": rng.normal(170, 9, n).round(2),
        }
    )


def saved(table: pd.DataFrame, path: Path) -> str:
    table.to_parquet(path, index=False) if path.suffix == ".parquet" else table.to_csv(path, index=False)
    return str(path)


def everything(rows: Rows) -> torch.Tensor:
    x = rows.gather(torch.arange(len(rows))).x
    assert isinstance(x, torch.Tensor)
    return x
