"""Named parts in `x`: the columns of a mixed table, scored by a joint distribution, each with its mask."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import pytest
import torch
from oracle import make_exact
from torch import Generator, Tensor, nn
from torch.distributions import Categorical, Normal
from toys import Affine, NormalLikelihood, NormalPosterior, NormalPrior, gradients, vae

from vaekit.core import Batch, Given, Likelihood
from vaekit.distributions import Joint
from vaekit.errors import DataError
from vaekit.model import VAE, Group
from vaekit.objectives.elbo import Elbo

BATCH, SAMPLES, TOWNS = 5, 3, 4


class Row(nn.Module):
    """Numbers with 0 where missing, towns one-hot with zeros where missing, and both masks."""

    def forward(self, batch: Batch) -> Tensor:
        assert isinstance(batch.x, Mapping)
        mask = batch.mask if isinstance(batch.mask, Mapping) else {}
        seen = {name: mask.get(name, torch.ones_like(part)).bool() for name, part in batch.x.items()}
        size = torch.where(seen["size"], batch.x["size"], 0.0)
        town = nn.functional.one_hot(batch.x["town"], TOWNS) * seen["town"][:, None]
        return torch.cat([size, town, seen["size"], seen["town"][:, None]], 1)


class Table(Likelihood):
    """`size`, three normal numbers, and `town`, one of four."""

    def __init__(self, given: int) -> None:
        super().__init__()
        self.size = Affine(3, given)
        self.town = Affine(TOWNS, given)

    def forward(self, given: Given) -> Joint:
        size = Normal(self.size(given.rows, given.state), 0.7, validate_args=False)
        return Joint(
            {"size": size, "town": Categorical(logits=self.town(given.rows, given.state), validate_args=False)}
        )

    def prepare(self, batch: Batch, generator: Generator | None = None) -> Batch:
        assert isinstance(batch.x, Mapping)
        mask = batch.mask if isinstance(batch.mask, Mapping) else {}
        filled = {
            name: torch.where(mask[name].bool(), part, torch.zeros_like(part)) if name in mask else part
            for name, part in batch.x.items()
        }
        return replace(batch, x=filled)

    def restore(self, x: Tensor) -> Tensor:
        return x


def table() -> tuple[VAE, dict[str, Tensor]]:
    groups = [Group("z", NormalPrior(2), NormalPosterior(2, 3 + TOWNS + 4))]
    x = {"size": torch.randn(BATCH, 3), "town": torch.tensor([0, 3, 1, 2, 3])}
    return VAE(Row(), groups, Table(2)), x


MASKS = {
    "size": torch.tensor([[1, 0, 1], [0, 0, 0], [1, 1, 1], [0, 1, 1], [1, 1, 0]]),
    "town": torch.tensor([1, 1, 0, 0, 1]),
}


@pytest.mark.parametrize("masked", [(), ("size",), ("town",), ("size", "town"), ("town", "size")])
def test_each_part_is_scored_where_it_was_observed(masked: tuple[str, ...]) -> None:
    model, x = table()
    mask = {name: MASKS[name] for name in masked}
    trace = model(model.likelihood.prepare(Batch(x, mask=mask or None)), samples=SAMPLES)
    values = trace.log_likelihood()
    assert len(trace.batch) == BATCH and values.shape == (SAMPLES, BATCH, 4)
    parts = trace.likelihood.parts
    size = parts["size"].log_prob(x["size"].repeat(SAMPLES, 1)).reshape(SAMPLES, BATCH, 3)
    town = parts["town"].log_prob(x["town"].repeat(SAMPLES)).reshape(SAMPLES, BATCH, 1)
    seen = [mask.get("size", torch.ones(BATCH, 3)), mask.get("town", torch.ones(BATCH))[:, None]]
    torch.testing.assert_close(values, torch.cat([size, town], -1) * torch.cat(seen, 1), rtol=0, atol=1e-12)


def test_the_order_of_the_parts_does_not_matter() -> None:
    model, x = table()
    bounds = []
    for names in (("size", "town"), ("town", "size")):
        torch.manual_seed(1)
        trace = model(Batch({name: x[name] for name in names}, mask=MASKS), samples=SAMPLES)
        bounds.append(trace.log_ratio())
    torch.testing.assert_close(*bounds, rtol=0, atol=1e-12)


def test_nothing_under_the_masks_matters() -> None:
    model, x = table()
    results = []
    for number, town in ((math.nan, 2), (1e6, 0)):
        torch.manual_seed(1)
        model.zero_grad()
        raw = {
            "size": torch.where(MASKS["size"].bool(), x["size"], number),
            "town": torch.where(MASKS["town"].bool(), x["town"], town),
        }
        loss = Elbo()(model(model.likelihood.prepare(Batch(raw, mask=MASKS)), samples=2), step=0).loss
        loss.backward()
        results.append([loss, *gradients(model).values()])
    assert all(torch.isfinite(value).all() for value in results[0])
    assert all(torch.equal(one, two) for one, two in zip(*results, strict=True))


def test_a_mask_that_does_not_fit_its_part_is_refused() -> None:
    model, x = table()
    wrong = Batch(x, mask={"size": MASKS["size"], "town": torch.ones(BATCH, 2)})
    trace = replace(model(Batch(x), samples=SAMPLES), batch=wrong)
    with pytest.raises(DataError, match=r"mask has the sites \(5,\), the likelihood \(4,\)"):
        trace.log_likelihood()


def test_parts_of_one_vector_have_the_vectors_bound() -> None:
    """The linear-Gaussian model with its data cut into named parts: log p(x_observed) at the exact posterior."""

    class Cut(Likelihood):
        def __init__(self, whole: NormalLikelihood) -> None:
            super().__init__()
            self.whole = whole

        def forward(self, given: Given) -> Joint:
            normal = self.whole(given)
            left, right = (Normal(normal.mean[:, part], normal.stddev[:, part]) for part in (slice(2), slice(2, None)))
            return Joint({"left": left, "right": right})

        def prepare(self, batch: Batch, generator: Generator | None = None) -> Batch:
            return batch

        def restore(self, x: Tensor) -> Tensor:
            return x

    class Glue(nn.Module):
        def forward(self, batch: Batch) -> Tensor:
            assert isinstance(batch.x, Mapping) and isinstance(batch.mask, Mapping)
            return torch.cat([batch.x["left"], batch.x["right"], batch.mask["left"], batch.mask["right"]], 1)

    model, x, mask = vae((2, 1), 5), torch.randn(BATCH, 5), (torch.rand(BATCH, 5) < 0.6).double()
    p = make_exact(model)
    model = VAE(Glue(), list(model.groups.in_order()), Cut(model.likelihood))
    x_parts = {"right": x[:, 2:], "left": x[:, :2]}
    trace = model(Batch(x_parts, mask={"left": mask[:, :2], "right": mask[:, 2:]}), samples=SAMPLES)
    torch.testing.assert_close(trace.log_ratio(), p.log_p(x, mask).expand(SAMPLES, BATCH), rtol=0, atol=1e-10)
