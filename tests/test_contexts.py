"""The context's embedding: every entry its own embedder, unknown entries, dropout; and a prior that depends on it."""

from __future__ import annotations

import math

import pytest
import torch

from vaekit.build import build_model
from vaekit.contexts.embedding import Embedding
from vaekit.core import Batch, ContextSpec, DataSpec, Given
from vaekit.errors import ConfigError
from vaekit.objectives.elbo import Elbo
from vaekit.priors.gaussian import Gaussian
from vaekit.recipes import resolve

ENTRIES = {
    "label": ContextSpec(classes=("a", "b", "c"), shares=(0.5, 0.25, 0.25)),
    "place": ContextSpec(size=2, mean=(1.0, -3.0), scale=(2.0, 0.5), low=(0.0, -4.0), high=(2.0, -2.0)),
}
LABEL = torch.tensor([2, -1, 0, 2])
PLACE = torch.tensor([[1.0, -3.0], [0.5, -2.0], [math.nan, 1.0], [2.0, -3.5]])


def embedding(dropout: float = 0.0) -> Embedding:
    torch.manual_seed(0)
    return Embedding(width=5, dropout=dropout, entries=ENTRIES)


def test_entries_stand_side_by_side_and_unknown_ones_are_alike() -> None:
    module = embedding().eval()
    found = module({"label": LABEL, "place": PLACE}, 4)
    assert found.shape == (4, 10)
    assert torch.equal(found[0, :5], found[3, :5]) and not torch.equal(found[0, :5], found[2, :5])
    absent = module({}, 4)
    assert torch.equal(found[1, :5], absent[1, :5]) and torch.equal(found[2, 5:], absent[2, 5:])
    assert not torch.equal(found[1, 5:], absent[1, 5:])


def test_numbers_are_standardized() -> None:
    module = embedding().eval()
    at_mean = module({"place": torch.tensor([[1.0, -3.0]])}, 1)[:, 5:]
    torch.testing.assert_close(at_mean[0], module.entries[1].affine.bias.detach(), rtol=0, atol=1e-6)


def test_gradients_are_finite_where_numbers_are_unknown() -> None:
    module = embedding()
    module({"label": LABEL, "place": PLACE}, 4).square().sum().backward()
    assert all(value.grad is not None and value.grad.isfinite().all() for value in module.parameters())


def test_dropout_hides_whole_entries_in_training_alone() -> None:
    module = embedding(dropout=0.3)
    context = {"label": torch.zeros(4000, dtype=torch.long), "place": torch.ones(4000, 2)}
    unknown = module.eval()({}, 1)
    assert not (module(context, 4000) == unknown).any()
    hidden = module.train()(context, 4000).unflatten(1, (2, 5)) == unknown.unflatten(1, (2, 5))
    assert torch.equal(hidden.all(2), hidden.any(2)), "an entry is hidden whole"
    shares = hidden.all(2).double().mean(0)
    assert shares.tolist() == pytest.approx([0.3, 0.3], abs=0.03)
    both = hidden.all(2).all(1).double().mean().item()
    assert both == pytest.approx(0.09, abs=0.02), "each for itself"


def test_a_conditional_prior_starts_as_the_standard_one_and_learns() -> None:
    prior = Gaussian(shape=(3,), context_shape=(10,))
    given = Given(4, context=torch.randn(4, 10))
    assert torch.equal(prior(given).mean, torch.zeros(4, 3)) and torch.equal(prior(given).stddev, torch.ones(4, 3))
    torch.nn.init.normal_(prior.affine.weight, std=100.0)
    assert prior(given).stddev.log().abs().max() <= 5.0 + 1e-5
    assert not torch.equal(prior(given).mean[0], prior(given).mean[1])
    with pytest.raises(ConfigError, match="expected a context"):
        Gaussian(shape=(3,))


CONFIG = {
    "data": "digits",
    "model": {
        "latent": 3,
        "encoder": {"name": "mlp", "hidden": [12]},
        "decoder": {"name": "mlp", "hidden": [11]},
        "likelihood": "logistic",
    },
    "train": {"epochs": 1},
}


@pytest.mark.parametrize("latent", [3, [4, 2, 2]], ids=["vector", "map"])
@pytest.mark.parametrize("prior", ["standard", "gaussian"])
def test_models_take_the_context_everywhere(prior: str, latent: int | list[int]) -> None:
    net = {"name": "conv", "channels": [8, 8]} if isinstance(latent, list) else {"name": "mlp", "hidden": [12]}
    values = {**CONFIG, "model": {**CONFIG["model"], "latent": latent, "prior": prior, "encoder": net, "decoder": net}}
    model = build_model(resolve(values), DataSpec((1, 8, 8), levels=17, context=ENTRIES)).eval()
    x = torch.randint(0, 17, (4, 1, 8, 8)).byte()
    context = {"label": LABEL, "place": PLACE}
    Elbo()(model(model.likelihood.prepare(Batch(x, context=context)), samples=2), 0).loss.backward()
    assert model.context is not None
    assert all(value.grad is not None and value.grad.any() for value in model.context.parameters())
    z = {"z": torch.zeros(4, *([latent] if isinstance(latent, int) else latent))}
    given, without = (model.decode(z, entries).mean for entries in (context, {}))
    assert not torch.equal(given[0], given[2]) and not torch.equal(given[0], without[0])


def test_without_a_context_nothing_is_built() -> None:
    model = build_model(resolve(CONFIG), DataSpec((1, 8, 8), levels=17))
    assert model.context is None
    with pytest.raises(ConfigError, match=r"model\.prior"):
        build_model(
            resolve({**CONFIG, "model": {**CONFIG["model"], "prior": "gaussian"}}), DataSpec((1, 8, 8), levels=17)
        )
