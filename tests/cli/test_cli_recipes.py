"""Every recipe builds on data of the kind it is for, and takes a step."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch

from vaekit import recipes
from vaekit.build import build_model, build_objective, mean_of
from vaekit.core import ContextSpec, DataSpec
from vaekit.data.resident import ResidentRows
from vaekit.engine.fit import fit

SPECS = {
    "digits": DataSpec((1, 8, 8), levels=17),
    "mnist": DataSpec((1, 28, 28), levels=256),
    "fashion-mnist": DataSpec((1, 28, 28), levels=256),
    "cifar10": DataSpec((3, 32, 32), levels=256),
    "images": DataSpec((3, 33, 46), levels=256),
    "array": DataSpec((7,), mean=(1.0,) * 7, scale=(2.0,) * 7),
    "table": DataSpec((7,), mean=(1.0,) * 7, scale=(2.0,) * 7, names=tuple("abcdefg")),
}
NEEDS_PATH = ("images", "array", "table")


@dataclass(frozen=True)
class Few:
    """A few rows of each split."""

    train: ResidentRows
    validation: ResidentRows


def stand_in(spec: DataSpec) -> Few:
    """Random data of a kind."""
    generator = torch.Generator().manual_seed(0)
    if spec.levels is None:
        x = 1 + 2 * torch.randn(6, *spec.shape, generator=generator)
    else:
        x = torch.randint(spec.levels, (6, *spec.shape), generator=generator, dtype=torch.uint8)
    label = torch.arange(6) % 3
    parts = [dict.fromkeys(spec.context, label[part]) for part in (slice(4), slice(4, 6))]
    return Few(ResidentRows(x[:4], spec, context=parts[0]), ResidentRows(x[4:], spec, context=parts[1]))


@pytest.mark.parametrize("name", recipes.recipe_names())
def test_recipe_takes_a_step(name: str) -> None:
    raw = recipes.read(name)
    source = raw.values["data"]["name"]
    config = recipes.resolve(raw, [f"data.path={name}"] if source in NEEDS_PATH else [])
    classes = ContextSpec(classes=("a", "b", "c"), shares=(0.5, 0.25, 0.25))
    spec = replace(SPECS[source], context=dict.fromkeys(raw.values["data"].get("context", ()), classes))
    data = stand_in(spec)
    model = build_model(config, spec, mean_of(data.train))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    plan = replace(
        config.train, epochs=1, time=None, validate_every=1, batch_size=4, ema=0.0, device="cpu", precision="float32"
    )
    fitted = fit(model, build_objective(config), data, plan)
    assert fitted.steps == 1 and not fitted.skipped
    found = fitted.history[0]
    assert torch.isfinite(torch.tensor([found["train"]["elbo_nats"], found["validation"]["elbo_nats"]])).all()
    assert any((before[key] != value).any() for key, value in fitted.model.state_dict().items())


@pytest.mark.parametrize("name", recipes.recipe_names())
def test_recipe_is_commented_for_a_learner(name: str) -> None:
    lines = recipes.recipe_text(name).splitlines()
    assert lines[0].startswith("# ") and len(lines[0]) <= 120
    assert sum("#" in line for line in lines) >= 8
    assert all(len(line) <= 120 for line in lines)


@pytest.mark.parametrize("name", recipes.recipe_names())
def test_recipe_survives_being_written_and_read(name: str) -> None:
    raw = recipes.read(name)
    more = ["data.path=somewhere"] if raw.values["data"]["name"] in NEEDS_PATH else []
    config = recipes.resolve(raw, more)
    assert recipes.resolve(config.as_dict()).as_dict() == config.as_dict()
