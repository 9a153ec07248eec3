"""A prior of one's own, in a file beside the run, that has one probability for a whole code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import vaekit

PRIOR = """
import torch
from torch import nn
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from vaekit.core import Conditional


class Mixture(Conditional):
    def __init__(self, components: int = 3, *, shape: tuple[int, ...]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(components))
        self.loc = nn.Parameter(torch.randn(components, *shape))

    def forward(self, given):
        normal = Normal(self.loc, torch.ones_like(self.loc), validate_args=False)
        parts = Independent(normal.expand((given.rows, *self.loc.shape)), 1, validate_args=False)
        weights = Categorical(logits=self.logits.expand(given.rows, -1), validate_args=False)
        return MixtureSameFamily(weights, parts, validate_args=False)
"""


def test_a_prior_in_the_working_directory_is_found_and_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_mixture.py").write_text(PRIOR, encoding="utf-8")
    settings = ["model.prior.name=my_mixture:Mixture", "model.latent=4", "train.epochs=1", "data.limit=200"]
    line = [str(Path(sys.executable).with_name("vaekit")), "train", "digits", "--out", "run"]
    line += [word for setting in settings for word in ("--set", setting)]
    subprocess.run(line, cwd=tmp_path, check=True, capture_output=True, timeout=120)

    monkeypatch.syspath_prepend(tmp_path)
    run = vaekit.load(tmp_path / "run")
    found = vaekit.evaluate(run, samples=2, limit=10)
    assert len(found.kl_per_dimension) == 1
    assert found.latent_dimensions == 4
    assert f"{found.active_units} of 4" in str(found)
    sweep = vaekit.traverse(run, steps=2)
    assert sweep.kl is None
    assert sorted(sweep.dimensions) == [0, 1, 2, 3]
    page = Path(vaekit.report(run)).read_text(encoding="utf-8")
    assert "one KL for a whole code" in page
