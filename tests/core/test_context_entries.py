"""Context conditions everything; entries may be absent, or unknown in some rows."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from toys import ContextEmbedding, NormalLikelihood, NormalPosterior, NormalPrior, gradients

from vaekit.core import Batch, Given, Latent
from vaekit.model import VAE, Encoder, Group
from vaekit.objectives.elbo import Elbo

DATA, BATCH, SAMPLES, SITES, WIDTH = 5, 4, 3, 6, 2
SITE, AGE = torch.tensor([5, -1, 0, 2]), torch.tensor([0.3, -1.2, math.nan, math.nan])


def conditional() -> VAE:
    c = 2 * WIDTH
    groups = [
        Group("z1", NormalPrior(2, c), NormalPosterior(2, DATA + c)),
        Group("z2", NormalPrior(3, 2 + c), NormalPosterior(3, 2 + DATA + c)),
    ]
    return VAE(Encoder(nn.Identity()), groups, NormalLikelihood((DATA,), 5 + c), ContextEmbedding(SITES, WIDTH))


def replay(model: VAE, context: dict[str, Tensor]) -> list[Tensor]:
    """The means of p(z1 | c), p(z2 | z1, c) and p(x | z, c) at fixed values."""
    values = {"z1": torch.linspace(-1, 1, 2).expand(BATCH, -1), "z2": torch.linspace(-1, 1, 3).expand(BATCH, -1)}
    given = Given(BATCH, context=model.embed(context, BATCH))
    _, latents = model.unroll(given, lambda group, p, given: Latent(group.name, values[group.name], p))
    return [*(latent.p.mean for latent in latents), model.decode(values, context).mean]


def test_every_factor_moves_with_the_context_row_by_row() -> None:
    model, other = conditional(), torch.tensor([2, 0, 1, 3])
    before = replay(model, {"site": SITE, "age": AGE})
    after = replay(model, {"site": SITE[other], "age": AGE[other]})
    for one, two in zip(before, after, strict=True):
        torch.testing.assert_close(one[other], two, rtol=0, atol=1e-14)  # it moves, and with its row
        assert not torch.isclose(one[0], two[0]).all()
        assert torch.equal(one[3], two[3])


def test_the_context_of_a_sample_is_its_datums() -> None:
    model, x = conditional(), torch.randn(BATCH, DATA)
    trace = model(Batch(x, context={"site": SITE, "age": AGE}), samples=SAMPLES)
    alone = torch.cat([model.embed({"site": SITE[b : b + 1], "age": AGE[b : b + 1]}, 1) for b in range(BATCH)])
    prior = model.groups["z1"].prior
    expected = prior.mean(SAMPLES * BATCH, alone.repeat(SAMPLES, 1))
    torch.testing.assert_close(trace.latents[0].p.mean, expected, rtol=0, atol=1e-14)


def test_an_absent_entry_is_unknown_everywhere() -> None:
    model = conditional()
    unknown = {"site": torch.full((BATCH,), -1), "age": torch.full((BATCH,), math.nan)}
    for context in ({}, {"site": unknown["site"]}, {"age": unknown["age"]}):
        for one, two in zip(replay(model, unknown), replay(model, context), strict=True):
            assert torch.equal(one, two)
    assert model.generate(7).mean.shape == (7, DATA)
    assert model.generate(2, {"site": torch.tensor([1, -1])}).mean.shape == (2, DATA)


def test_the_unknown_embeddings_are_learned() -> None:
    model, x = conditional(), torch.randn(BATCH, DATA)
    Elbo()(model(Batch(x, context={"site": SITE, "age": AGE}), samples=SAMPLES), step=0).loss.backward()
    assert all(torch.isfinite(value).all() for value in gradients(model).values())
    moved = model.context.site.grad.any(1)
    assert moved.tolist() == [True, False, True, False, False, True, True]  # the sites seen, and unknown
    assert model.context.age.grad.any(1).all()
    model.zero_grad()
    Elbo()(model(Batch(x)), step=0).loss.backward()
    assert model.context.site.grad.any(1).tolist() == [False] * SITES + [True]
    assert model.context.age.grad.any(1).tolist() == [False, True]
