"""Scores are what their definitions say on a model whose density is known; several make one that no unit can tilt."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from linear_model import LATENT, SIGMA, D, binary_model, grey_rows, linear
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from vaekit.errors import ConfigError, DataError
from vaekit.metrics.abnormality import NARROWEST, SCORES, Codes, Recipe, Seen, Usual, parse, see, together
from vaekit.metrics.abnormality import values as values_of
from vaekit.metrics.prepare import prepared
from vaekit.model import VAE

N = 11


def seen_by(model: VAE, samples: int = 0, mask: Tensor | None = None, codes: Codes | None = None) -> Seen:
    """Rows of the oracle after one pass, in double precision."""
    raw = replace(linear().rows(N).gather(torch.arange(N)), mask=mask)
    return see(model, raw, prepared(model.likelihood, raw, 0), codes, samples)


def parts_of(seen: Seen) -> tuple[Tensor, Tensor, Tensor]:
    """log p(x | z) in the data's units and KL[q ‖ p], both per site by the textbook, and what the model expects of x."""
    oracle, q = linear(), seen.trace.latents[0].q
    assert q is not None and isinstance(seen.raw.x, Tensor)
    scale, mean = torch.tensor(oracle.spec.scale).double(), torch.tensor(oracle.spec.mean).double()
    expected = (q.mean @ oracle.weight.double().T + oracle.bias.double()) * scale + mean
    found = Normal(expected, SIGMA * scale).log_prob(seen.raw.x.double())
    kl = 0.5 * (q.mean.square() + q.stddev.square() - 1) - q.stddev.log()
    return found, kl, expected


def codes_at_random(m: int = 13) -> Codes:
    generator = torch.Generator().manual_seed(8)
    mean = torch.randn(m, LATENT, generator=generator, dtype=torch.float64)
    return Codes(mean, torch.rand(m, LATENT, generator=generator, dtype=torch.float64) + 1e-4)


# --- each score is its definition ------------------------------------------------------------------------------------


def test_the_aggregated_posterior_is_a_mixture() -> None:
    codes = codes_at_random()
    codes.scale[2:5] *= 1e-3  # narrower than the kernel is allowed to be
    scale = torch.maximum(codes.scale, NARROWEST * codes.mean.std(0, correction=0))
    assert (scale != codes.scale).any()
    mixture = MixtureSameFamily(Categorical(torch.ones(13).double()), Independent(Normal(codes.mean, scale), 1))
    z = torch.cat([codes.mean, 5 * codes.mean[:4] - 1])
    torch.testing.assert_close(codes.log_prob(z), mixture.log_prob(z), rtol=1e-9, atol=1e-9)


def test_the_aggregated_posterior_keeps_its_digits_far_out() -> None:
    """The expanded square loses them in single precision, unless it is taken about the codes' own place."""
    codes = codes_at_random()
    far = Codes((codes.mean + 300).float(), (codes.scale / 20).float())
    z = far.mean + 0.03
    double = Codes(far.mean.double(), far.scale.double()).log_prob(z.double())
    torch.testing.assert_close(far.log_prob(z).double(), double, rtol=0, atol=0.05)


def test_scores_at_the_centre_are_closed_forms() -> None:
    seen = seen_by(linear().model(error=0.3).double(), codes=codes_at_random())
    found, kl, expected = parts_of(seen)
    scale = torch.tensor(linear().spec.scale).double()
    density = -codes_at_random().log_prob(seen.trace.latents[0].z)
    truth = {
        "elbo": kl.sum(1) - found.sum(1),
        "reconstruction": -found.sum(1),
        "kl": kl.sum(1),
        "error": ((seen.raw.x.double() - expected) / scale).square().sum(1),  # type: ignore[union-attr]
        "latent_density": density,
        "exemplar": density - found.sum(1),
    }
    got = values_of(seen, list(truth))
    assert got.shape == (N, len(truth)) and got.dtype == torch.float64
    torch.testing.assert_close(got, torch.stack(list(truth.values()), 1), rtol=1e-5, atol=1e-5)


def test_scores_over_draws_approach_the_expected_bound_and_the_density() -> None:
    torch.manual_seed(3)
    seen = seen_by(linear().model(error=0.3).double(), samples=4_000)
    found, kl, _ = parts_of(seen)
    q = seen.trace.latents[0].q
    assert q is not None
    spread = (linear().weight.double().square().sum(0) * q.stddev.square()).sum(1) / (2 * SIGMA**2)
    got = values_of(seen, ["elbo", "importance_weighted"])
    torch.testing.assert_close(got[:, 0], kl.sum(1) - found.sum(1) + spread, rtol=0, atol=0.25)
    exact = -linear().log_p(linear().rows(N).x)
    torch.testing.assert_close(got[:, 1], exact, rtol=0, atol=0.1)
    assert (got[:, 0] > exact + 0.5).all(), "the bound itself is looser here"


def test_the_importance_weighted_score_draws_where_nothing_is_asked_for() -> None:
    torch.manual_seed(3)
    exact = -linear().log_p(linear().rows(N).x)
    found = values_of(seen_by(linear().model().double()), ["importance_weighted"])[:, 0]
    torch.testing.assert_close(found, exact, rtol=0, atol=1e-4)  # the posterior is exact: every draw says so


def test_what_was_not_observed_costs_nothing() -> None:
    mask = torch.rand(N, D, generator=torch.Generator().manual_seed(2)) < 0.6
    seen = seen_by(linear().model(0.2).double(), mask=mask)
    found, _, expected = parts_of(seen)
    assert isinstance(seen.raw.x, Tensor)
    residual = (seen.raw.x.double() - expected) / torch.tensor(linear().spec.scale).double()
    got = values_of(seen, ["error", "reconstruction"])
    torch.testing.assert_close(got[:, 0], torch.where(mask, residual, 0).square().sum(1), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(got[:, 1], -torch.where(mask, found, 0).sum(1), rtol=1e-5, atol=1e-5)


def test_codes_are_asked_for() -> None:
    for name in ("latent_density", "exemplar"):
        assert SCORES[name].needs_codes
        with pytest.raises(DataError, match="codes of training rows, got none"):
            values_of(seen_by(linear().model()), [name])


def test_complexity_is_the_bound_less_the_code_length() -> None:
    model, raw = binary_model(), grey_rows(N).gather(torch.arange(N))
    seen = see(model, raw, prepared(model.likelihood, raw, 0))
    elbo, length, complexity = values_of(seen, ["elbo", "code_length", "complexity"]).unbind(1)
    torch.testing.assert_close(complexity, elbo - math.log(2) * length)


# --- what makes a row abnormal ---------------------------------------------------------------------------------------


def test_texts_are_recipes() -> None:
    assert parse("elbo") == Recipe(("elbo",)) and parse("elbo").plain
    assert parse("exemplar + importance-weighted") == Recipe(("exemplar", "importance_weighted"))
    assert parse("kl|code_length") == Recipe(("kl", "code_length"), highest=True)
    for text in ("elbo", "exemplar+error", "complexity|code_length"):
        assert str(parse(text)) == text and parse(str(parse(text))) == parse(text)


def test_what_a_recipe_says() -> None:
    assert parse("kl").words == SCORES["kl"].words and parse("kl").unit == "nats"
    assert parse("kl+error").words.startswith("the sum of scores standardized by training rows: kl, ")
    assert parse("kl|error").words.startswith("the highest of scores standardized by training rows: kl, ")
    assert parse("kl+error").unit == "" and not parse("kl+error").plain
    assert parse("code_length").unit == "" and not parse("code_length").plain, "unusual both ways: it is standardized"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("elbow", r"unknown name 'elbow' \(did you mean 'elbo'\?\)"),
        ("elbo+eror", r"'eror' \(did you mean 'error'\?\)"),
        ("", "unknown name ''"),
        ("elbo+", "unknown name ''"),
        ("elbo+kl|error", r"unknown name 'elbo\+kl'"),
        ("elbo|elbo", r"each name once, got 'elbo\|elbo'"),
        ("code-length+code_length", "each name once"),
    ],
)
def test_wrong_texts_are_refused(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse(text)


def two_parts(n: int = 400) -> Tensor:
    return torch.randn(n, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64).exp()


def test_one_plain_score_stays_as_it_is() -> None:
    found = two_parts()[:, :1]
    assert torch.equal(together(3 * found, Usual.of(found), parse("kl")), 3 * found[:, 0])


def test_standardized_scores_by_the_definition() -> None:
    found, fresh = two_parts(), torch.tensor([[0.01, 0.7], [2.0, 30.0]], dtype=torch.float64)
    usual = Usual.of(found)
    low, median, high = (found.quantile(q, dim=0) for q in (0.1, 0.5, 0.9))
    torch.testing.assert_close(torch.stack([usual.below, usual.above]), torch.stack([median - low, high - median]))
    each = torch.asinh((fresh - median) / (high - median))
    torch.testing.assert_close(together(fresh, usual, parse("kl+error")), each.sum(1))
    torch.testing.assert_close(together(fresh, usual, parse("kl|error")), each.amax(1))


def test_a_score_that_is_unusual_both_ways() -> None:
    found = two_parts()[:, :1]
    usual = Usual.of(found)
    fresh = torch.stack([usual.median - usual.below, usual.median, usual.median + usual.above])
    standardized = together(fresh, usual, parse("code_length"))
    torch.testing.assert_close(standardized, torch.asinh(torch.tensor([1.0, 0.0, 1.0])).double())
    one_way = usual.standardized(fresh, ["kl"])[:, 0]
    assert one_way[0] < 0 < one_way[2]


@pytest.mark.parametrize("text", ["kl+error", "kl|error", "kl+code_length"])
def test_units_of_a_part_do_not_matter(text: str) -> None:
    normal, fresh, recipe = two_parts(), 2 * two_parts(50) - 1, parse(text)
    units = torch.tensor([1000.0, 1.0]).double()
    moved = together(fresh * units + units, Usual.of(normal * units + units), recipe)
    torch.testing.assert_close(moved, together(fresh, Usual.of(normal), recipe), rtol=1e-9, atol=1e-9)


def test_a_score_that_never_varies_stays_finite() -> None:
    usual = Usual.of(torch.full((20, 2), 3.0).double())
    found = together(torch.tensor([[3.0, 3.0], [4.0, 3.0]]).double(), usual, parse("kl+error"))
    torch.testing.assert_close(found, torch.asinh(torch.tensor([0.0, 1.0])).double())
