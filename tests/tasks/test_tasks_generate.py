"""Generation: temperature, pixels, seeds; latent maps and several groups; citations."""

from __future__ import annotations

import math
import re
from dataclasses import replace
from itertools import chain
from typing import Any

import pytest
import torch
from sick_runs import healthy
from torch.distributions import Laplace

from vaekit.build import build_model
from vaekit.citations import ENTRIES, USES, used_by
from vaekit.config import FAMILIES, find_class, members
from vaekit.core import DataSpec
from vaekit.errors import ConfigError
from vaekit.run import Run
from vaekit.tasks.cite import cite
from vaekit.tasks.decode import decode
from vaekit.tasks.doctor import doctor
from vaekit.tasks.embed import embed
from vaekit.tasks.evaluate import evaluate
from vaekit.tasks.generate import generate, tempered
from vaekit.tasks.interpolate import interpolate
from vaekit.tasks.reconstruct import reconstruct
from vaekit.tasks.traverse import traverse


def test_images_are_in_the_datas_units_and_belong_to_their_latents(run: Run) -> None:
    found = generate(run, 17)
    assert found.images.shape == (17, 1, 8, 8) and found.latents.shape == (17, 5)
    assert found.images.min() >= 0 and found.images.max() <= 16 and found.images.dtype == torch.float32
    torch.testing.assert_close(decode(run, found.latents).images, found.images)


def test_draws_are_levels_and_means_are_their_average(run: Run) -> None:
    sampled = generate(run, 6, pixels="sample").images
    torch.testing.assert_close(sampled, sampled.round(), rtol=0, atol=1e-4)
    latents = generate(run, 1).latents.expand(600, -1)
    draws, centre = decode(run, latents, pixels="sample").images.mean(0), decode(run, latents[:1]).images[0]
    assert (draws - centre).abs().mean() < 0.8


def test_a_temperature_scales_the_spread_of_latents(run: Run) -> None:
    spread = [generate(run, 400, temperature).latents.std().item() for temperature in (0.5, 1.0, 2.0)]
    assert spread == pytest.approx([0.5, 1.0, 2.0], rel=0.1)


def test_seeds_reproduce_and_the_global_state_stays(run: Run) -> None:
    state = torch.get_rng_state()
    first, again, other = (generate(run, 3, seed=seed, pixels="sample") for seed in (4, 4, 5))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first.images, again.images) and not torch.equal(first.latents, other.latents)
    first.images.add_(1)  # what a task returns may be changed in place


@pytest.mark.parametrize(
    "wrong", [{"n": 0}, {"n": 1.5}, {"temperature": 0.0}, {"temperature": float("inf")}, {"pixels": "median"}]
)
def test_wrong_requests_are_refused(run: Run, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="expected"):
        generate(run, **wrong)


def test_a_prior_without_a_temperature_says_so() -> None:
    with pytest.raises(ConfigError, match="Laplace"):
        tempered(Laplace(0.0, 1.0), 0.5)


def test_latent_maps_work_in_every_task(run: Run) -> None:
    model = replace(
        run.config.model,
        latent=(2, 2, 2),
        encoder=replace(run.config.model.encoder, name="conv", params={"channels": [4, 6]}),
        decoder=replace(run.config.model.decoder, name="conv", params={"channels": [4, 6]}),
    )
    config = replace(run.config, model=model)
    mapped = replace(run, config=config, model=build_model(config, run.spec).eval())
    points = embed(mapped, n=4)
    assert points.mean.shape == (4, 8)
    torch.testing.assert_close(decode(mapped, points).images, reconstruct(mapped, n=4).outputs)
    torch.testing.assert_close(decode(mapped, points.mean.reshape(4, 2, 2, 2)).images, decode(mapped, points).images)
    assert generate(mapped, 3, 0.5).latents.shape == (3, 8)
    assert interpolate(mapped, [(0, 1)], steps=3, mode="slerp").images.shape == (1, 3, 1, 8, 8)
    assert traverse(mapped, steps=2).images.shape == (8, 2, 1, 8, 8)


LIKELIHOODS: list[dict[str, Any]] = [
    {"name": "bernoulli", "binarization": "dynamic"},
    {"name": "bernoulli", "binarization": "expected"},
    {"name": "gaussian", "scale": "site"},
    {"name": "gaussian", "dequantize": False},
    {"name": "logistic"},
    {"name": "logistic", "components": 3},
    {"name": "logistic", "components": 2, "coupled": True},
    {"name": "categorical"},
]


@pytest.mark.parametrize("likelihood", LIKELIHOODS, ids=lambda values: "-".join(map(str, values.values())))
def test_every_likelihood_works_in_every_task(likelihood: dict[str, Any]) -> None:
    x = torch.randint(0, 9, (14, 3, 12, 13), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    run = healthy(x=x, spec=DataSpec((3, 12, 13), levels=9), likelihood=likelihood)
    for pixels in ("mean", "sample"):
        images = generate(run, 4, pixels=pixels).images  # type: ignore[arg-type]
        assert images.shape == (4, 3, 12, 13) and images.min() >= -1e-3 and images.max() <= 8 + 1e-3
    found = evaluate(run, samples=3)
    assert found.n == 14 and math.isfinite(found.bits_per_dim.mean) and found.psnr_db is not None
    assert found.bits_per_dim.mean == pytest.approx(-found.importance_weighted_nats.mean / (468 * math.log(2)))
    points = embed(run)
    torch.testing.assert_close(decode(run, points).images, reconstruct(run).outputs)
    assert doctor(run).looked_at


# --- citations -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("member", [f"{family}/{name}" for family in FAMILIES for name in members(family)])
def test_every_method_that_a_docstring_refers_to_can_be_cited(member: str) -> None:
    family, _, name = member.partition("/")
    _, _, references = (find_class(family, name).__doc__ or "").partition("References:")
    years = set(re.findall(r"\((\d{4})\)", references))
    cited = {re.search(r"year = \{(\d{4})\}", ENTRIES[key]).group(1) for key in USES.get(member, {})}  # type: ignore[union-attr]
    assert years <= cited, f"add the BibTeX of {member} to vaekit/citations.py"


def test_entries_are_well_formed_and_every_use_has_one() -> None:
    for key, text in ENTRIES.items():
        assert re.match(rf"@\w+\{{{key},\n", text) and text.count("{") == text.count("}")
        assert all(f" {field} = {{" in text for field in ("title", "author", "year"))
    assert set(chain.from_iterable(USES.values())) <= set(ENTRIES)


def test_only_what_is_used_is_cited(run: Run) -> None:
    text = cite(run)
    assert "@inproceedings{kingma2014," in text and "{salimans2017," in text and "{alpaydin1998," in text
    assert "{higgins2017," not in text and "{burda2016," not in text and "{polyak1992," not in text
    objective = replace(run.config.objective, params={**run.config.objective.params, "beta": 4.0, "warmup": 10})
    own = replace(run.config.model, encoder=replace(run.config.model.encoder, name="my_lab.nets:Mine", params={}))
    other = cite(replace(run, config=replace(run.config, objective=objective, model=own)))
    assert "{higgins2017," in other and "{bowman2016," in other and "% my_lab.nets:Mine" in other
    assert used_by("likelihoods/bernoulli", {"binarization": "dynamic"}) == ["burda2016"]
    assert used_by("likelihoods/gaussian", {"levels": 256, "scale": "site"}) == ["theis2016"]
    assert used_by("nets/unheard-of", {}) == []
