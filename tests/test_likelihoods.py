"""Likelihoods: they sum or integrate to one in the data's own units, own their domain, and survive missing values."""

from __future__ import annotations

import importlib
import inspect
import math
import pkgutil
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from vaekit import likelihoods
from vaekit.core import Batch, DataSpec, Given, Likelihood, Trace
from vaekit.distributions import central
from vaekit.errors import ConfigError, DataError
from vaekit.nets.conv import Conv
from vaekit.nets.mlp import Mlp

DIGITS = DataSpec((1, 5, 3), levels=17)
COLOUR = DataSpec((3, 9, 13), levels=256)
BINARY = DataSpec((7,), levels=2)
TABLE = DataSpec((3,), mean=(1.0, -20.0, 0.5), scale=(2.0, 30.0, 0.1))
LATENT = 4


def members() -> dict[str, type[Likelihood]]:
    found = {}
    for module in pkgutil.iter_modules(likelihoods.__path__):
        name = "".join(part.capitalize() for part in module.name.split("_"))
        kind = getattr(importlib.import_module(f"vaekit.likelihoods.{module.name}"), name, None)
        if inspect.isclass(kind):
            found[module.name] = kind
    return found


MEMBERS = members()
CASES: list[tuple[str, dict[str, Any], DataSpec]] = [
    ("bernoulli", {}, BINARY),
    ("bernoulli", {"binarization": "dynamic"}, DIGITS),
    ("bernoulli", {"binarization": "threshold", "threshold": 0.3}, DIGITS),
    ("bernoulli", {"binarization": "expected"}, DIGITS),
    ("gaussian", {}, TABLE),
    ("gaussian", {"scale": "site"}, DIGITS),
    ("gaussian", {"scale": "fixed", "sigma": 0.1}, COLOUR),
    ("gaussian", {"dequantize": False}, DIGITS),
    ("student_t", {}, TABLE),
    ("student_t", {"scale": "site", "df": 2.5, "learn_df": True}, TABLE),
    ("logistic", {}, DIGITS),
    ("logistic", {"components": 3}, COLOUR),
    ("logistic", {"components": 2, "coupled": True}, COLOUR),
    ("categorical", {}, DIGITS),
]
NAMES = [f"{name}-{i}" for i, (name, _, _) in enumerate(CASES)]
CASE = pytest.mark.parametrize(("name", "fields", "spec"), CASES, ids=NAMES)


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(3)


def build(name: str, fields: dict[str, Any], spec: DataSpec, **runtime: Any) -> Any:
    decoder = Mlp((6,), in_shape=(LATENT,))
    return MEMBERS[name](**fields, spec=spec, features=(6,), decoder=decoder, **runtime)


def data(spec: DataSpec, rows: int = 8) -> Tensor:
    if spec.levels is None:
        return torch.randn(rows, *spec.shape) * torch.tensor(spec.scale) + torch.tensor(spec.mean)
    return torch.randint(0, spec.levels, (rows, *spec.shape), dtype=torch.uint8)


def given(rows: int = 8) -> Given:
    return Given(rows, state=torch.randn(rows, LATENT))


def test_every_member_is_tested() -> None:
    assert {name for name, _, _ in CASES} == set(MEMBERS)


# --- what holds for all ----------------------------------------------------------------------------------------------


@CASE
def test_prepared_data_is_scored_per_site_in_float32(name: str, fields: dict[str, Any], spec: DataSpec) -> None:
    likelihood = build(name, fields, spec)
    batch = likelihood.prepare(Batch(data(spec), index=torch.arange(8)))
    assert batch.x.shape == (8, *spec.shape)
    assert batch.x.dtype == torch.float32
    assert batch.index is not None
    p = likelihood(given())
    log_prob = p.log_prob(batch.x)
    assert log_prob.isfinite().all()
    sites = spec.shape[1:] if p.event_shape else spec.shape
    assert log_prob.shape == (8, *sites)
    assert Trace(batch, [], p, samples=1).log_likelihood().shape == (1, 8, *sites)


@CASE
def test_half_precision_outputs_are_scored_in_float32(name: str, fields: dict[str, Any], spec: DataSpec) -> None:
    likelihood = build(name, fields, spec)
    batch = likelihood.prepare(Batch(data(spec)))
    with torch.autocast("cpu", torch.bfloat16):
        p = likelihood(given())
    assert p.log_prob(batch.x).dtype == torch.float32


@CASE
def test_restoring_inverts_the_preparation(name: str, fields: dict[str, Any], spec: DataSpec) -> None:
    x = data(spec)
    likelihood = build(name, fields, spec)
    restored = likelihood.restore(likelihood.prepare(Batch(x)).x)
    if fields.get("binarization") in ("dynamic", "threshold"):
        assert set(restored.unique().tolist()) <= {0.0, 16.0}
    elif spec.levels is None:
        assert torch.allclose(restored, x, atol=1e-4)
    else:
        assert (restored - x).abs().max() <= 0.5001
        assert restored.min() >= 0
        assert restored.max() <= spec.levels - 1


@CASE
def test_preparation_repeats_with_the_generator(name: str, fields: dict[str, Any], spec: DataSpec) -> None:
    likelihood, x = build(name, fields, spec), data(spec)
    a, b = (likelihood.prepare(Batch(x), torch.Generator().manual_seed(5)).x for _ in range(2))
    assert torch.equal(a, b)


@pytest.mark.parametrize("maps", [False, True], ids=["vector", "map"])
@CASE
def test_first_outputs_are_near_the_datas_mean(name: str, fields: dict[str, Any], spec: DataSpec, maps: bool) -> None:
    span = torch.linspace(0.2, 0.8, math.prod(spec.shape)).reshape(spec.shape)
    mean = span * (spec.levels - 1) if spec.levels else torch.tensor(spec.mean) + torch.tensor(spec.scale) * span
    if maps and len(spec.shape) == 3:
        decoder = Conv((6,), in_shape=(LATENT,), grid=(spec.shape[1], spec.shape[2]))
        likelihood: Any = MEMBERS[name](**fields, spec=spec, features=(6, *spec.shape[1:]), decoder=decoder, mean=mean)
    else:
        likelihood = build(name, fields, spec, mean=mean)
    with torch.no_grad():
        likelihood.head.layer.weight.zero_()
        p = likelihood(given())
        point = p.mean if name == "categorical" else central(p)
    scale = torch.tensor(spec.scale) if spec.levels is None else spec.levels - 1
    assert ((likelihood.restore(point) - mean) / scale).abs().max() < 0.1


@CASE
def test_one_graph_without_breaks(name: str, fields: dict[str, Any], spec: DataSpec) -> None:
    likelihood, x = build(name, fields, spec), data(spec)
    state = torch.randn(8, LATENT)

    def bound(x: Tensor, state: Tensor) -> Tensor:
        prepared: Tensor = likelihood.prepare(Batch(x)).x
        return likelihood(Given(8, state=state)).log_prob(prepared).sum()  # type: ignore[no-any-return]

    torch.compiler.reset()
    compiled = torch.compile(bound, backend="eager", fullgraph=True)
    torch.manual_seed(0)
    expected = bound(x, state)
    torch.manual_seed(0)
    assert torch.allclose(compiled(x, state), expected, rtol=1e-5)


@CASE
def test_gradients_reach_every_parameter_and_are_finite(name: str, fields: dict[str, Any], spec: DataSpec) -> None:
    likelihood = build(name, fields, spec)
    batch = likelihood.prepare(Batch(data(spec)))
    likelihood(replace(given(), state=100 * torch.randn(8, LATENT))).log_prob(batch.x).sum().backward()
    gradients = [p.grad for p in likelihood.parameters() if p.requires_grad]
    assert all(g is not None and g.isfinite().all() and g.any() for g in gradients)


# --- units -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields"),
    [("logistic", {}), ("logistic", {"components": 3}), ("categorical", {})],
    ids=["logistic", "mixture", "categorical"],
)
def test_masses_of_all_levels_sum_to_one(name: str, fields: dict[str, Any]) -> None:
    likelihood, g = build(name, fields, DIGITS), given(2)
    p = likelihood(g)
    levels = [torch.full((2, *DIGITS.shape), level, dtype=torch.uint8) for level in range(17)]
    log_prob = torch.stack([p.log_prob(likelihood.prepare(Batch(x)).x) for x in levels])
    assert torch.allclose(torch.logsumexp(log_prob, 0), torch.zeros(2, *DIGITS.shape), atol=1e-4)


@pytest.mark.parametrize("scale", ["fixed", "shared", "site"])
@pytest.mark.parametrize("spec", [TABLE, DIGITS], ids=["continuous", "levels"])
def test_gaussian_integrates_to_one_in_the_datas_own_units(scale: str, spec: DataSpec) -> None:
    likelihood = build("gaussian", {"scale": scale, "dequantize": False if spec.levels else None}, spec)
    p = likelihood(given(1))
    centre = likelihood.restore(p.mean)
    width = 12 * (p.stddev * likelihood.units.factor)
    t = torch.linspace(-1, 1, 4001).reshape(-1, *[1] * (1 + len(spec.shape)))
    raw = (centre + t * width).squeeze(1)  # (points, *shape)
    batch = likelihood.prepare(Batch(raw))
    density = (p.log_prob(batch.x) + batch.log_det).exp()
    total = density.sum(0) * (t[1] - t[0]).squeeze() * width[0]
    assert torch.allclose(total, torch.ones(spec.shape), atol=1e-3)


def bits(likelihood: Any, x: Tensor, state: Tensor) -> Tensor:
    batch = likelihood.prepare(Batch(x), torch.Generator().manual_seed(1))
    return Trace(batch, [], likelihood(Given(len(x), state=state)), samples=1).log_likelihood().sum() / math.log(0.5)


def test_bits_do_not_depend_on_how_continuous_data_is_standardized() -> None:
    a = build("gaussian", {"scale": "fixed", "sigma": 0.3}, TABLE)
    other = DataSpec((3,), mean=(0.0, 5.0, 1.0), scale=(4.0, 6.0, 0.2))
    b = build("gaussian", {"scale": "fixed", "sigma": 1.0}, other)
    # The same densities of the raw data: outputs and σ in the other units, σ per column by its own factor.
    shift, stretch = (torch.tensor(v) for v in (other.mean, other.scale))
    to_b = torch.tensor(TABLE.scale) / stretch
    b.decoder.load_state_dict(a.decoder.state_dict())
    b.register_buffer("raw", (0.3 * to_b).log(), persistent=False)
    with torch.no_grad():
        b.head.layer.weight.copy_(a.head.layer.weight * to_b[:, None])
        b.head.layer.bias.copy_(a.head.layer.bias * to_b + (torch.tensor(TABLE.mean) - shift) / stretch)
    x, state = data(TABLE), torch.randn(8, LATENT)
    assert torch.allclose(bits(a, x, state), bits(b, x, state), rtol=1e-5)


@pytest.mark.parametrize("unit", [1.0, 1 / 17, 255.0])
def test_bits_of_dequantized_levels_are_those_of_the_same_data_in_other_units(unit: float) -> None:
    """Levels k + u, and the same numbers times `unit` as continuous data: densities differ by the unit, and by that alone."""
    torch.manual_seed(0)
    levels = build("gaussian", {"scale": "site"}, DIGITS)
    torch.manual_seed(0)
    spec = DataSpec(DIGITS.shape, mean=(8.5 * unit,), scale=(8.5 * unit,))
    scaled = build("gaussian", {"scale": "site"}, spec)
    x, state = data(DIGITS), torch.randn(8, LATENT)
    noise = torch.rand(x.shape, generator=torch.Generator().manual_seed(1))
    difference = bits(scaled, (x + noise) * unit, state) - bits(levels, x, state)
    assert torch.allclose(difference, torch.tensor(x.numel() * math.log2(unit)), atol=0.5, rtol=1e-4)


def test_dequantized_bound_is_below_the_log_mass_of_the_level() -> None:
    likelihood = build("gaussian", {"scale": "fixed", "sigma": 0.05}, DIGITS)
    p = likelihood(given(1))
    x = torch.full((1, *DIGITS.shape), 8, dtype=torch.uint8)
    edges = (torch.tensor([8.0, 9.0]) - 8.5) / 8.5
    mass = p.cdf(edges[1]) - p.cdf(edges[0])
    drawn = torch.stack([p.log_prob((b := likelihood.prepare(Batch(x))).x) + b.log_det for _ in range(400)])
    assert (drawn.mean(0) <= mass.log() + 5 * drawn.std(0) / 20).all()
    assert (drawn.mean(0) < mass.log()).sum() > 10


# --- bernoulli -------------------------------------------------------------------------------------------------------


def test_dynamic_binarization_draws_by_the_grey_value() -> None:
    likelihood = build("bernoulli", {"binarization": "dynamic"}, DIGITS)
    x = torch.arange(15, dtype=torch.uint8).reshape(1, 1, 5, 3).expand(20_000, -1, -1, -1).clone()
    x[:, 0, 4, 2] = 16
    frequency = likelihood.prepare(Batch(x)).x.mean(0)
    expected = x[0] / 16
    assert ((frequency - expected).abs() <= 5 * (expected * (1 - expected) / 20_000).sqrt()).all()


def test_static_binarization_splits_at_the_threshold() -> None:
    likelihood = build("bernoulli", {"binarization": "threshold", "threshold": 0.3}, DIGITS)
    x = data(DIGITS)
    assert torch.equal(likelihood.prepare(Batch(x)).x, (x / 16 > 0.3).float())


def test_expected_binarization_is_the_average_over_draws() -> None:
    likelihood = build("bernoulli", {"binarization": "expected"}, DIGITS)
    dynamic = build("bernoulli", {"binarization": "dynamic"}, DIGITS)
    x = data(DIGITS, rows=1)
    p = likelihood(given(1))
    expected = p.log_prob(likelihood.prepare(Batch(x)).x)
    drawn = p.log_prob(dynamic.prepare(Batch(x.expand(20_000, *DIGITS.shape))).x)
    assert ((drawn.mean(0) - expected).abs() <= 5 * drawn.std(0) / math.sqrt(20_000) + 1e-5).all()


def test_two_levels_need_no_policy_and_no_draw() -> None:
    x = data(BINARY)
    for policy in ("refuse", "dynamic", "threshold", "expected"):
        likelihood = build("bernoulli", {"binarization": policy}, BINARY)
        assert torch.equal(likelihood.prepare(Batch(x)).x, x.float())


# --- gaussian's σ ----------------------------------------------------------------------------------------------------


def test_scales() -> None:
    fixed = build("gaussian", {"scale": "fixed", "sigma": 0.25}, TABLE)
    shared = build("gaussian", {"scale": "shared", "sigma": 0.25}, TABLE)
    site = build("gaussian", {"scale": "site", "sigma": 0.25}, TABLE)
    assert torch.allclose(fixed(given()).stddev, torch.full((8, 3), 0.25))
    assert torch.allclose(shared(given()).stddev, torch.full((8, 3), 0.25), atol=1e-5)
    assert not [name for name, _ in fixed.named_parameters() if name == "raw"]
    assert [name for name, _ in shared.named_parameters() if name == "raw"]
    deviations = site(given()).stddev
    assert (deviations.amax(0) > deviations.amin(0)).all()


@pytest.mark.parametrize("scale", ["shared", "site"])
def test_a_learned_scale_stays_above_its_floor_and_can_return(scale: str) -> None:
    likelihood = build("gaussian", {"scale": scale, "min_sigma": 0.01}, TABLE)
    with torch.no_grad():
        (likelihood.raw if scale == "shared" else likelihood.head.layer.bias[3:]).fill_(-12.0)
    p = likelihood(given())
    assert (p.stddev >= 0.01).all()
    p.log_prob(torch.ones(8, 3)).sum().backward()
    gradient = likelihood.raw.grad if scale == "shared" else likelihood.head.layer.bias.grad[3:]
    assert gradient.abs().min() > 0


# --- domains ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "fields", "spec", "error", "words"),
    [
        ("bernoulli", {}, DIGITS, DataError, "dynamic"),
        ("bernoulli", {"binarization": "dynamic"}, TABLE, DataError, "gaussian"),
        ("logistic", {}, TABLE, DataError, "gaussian"),
        ("categorical", {}, TABLE, DataError, "gaussian"),
        ("categorical", {}, DataSpec((3,), levels=257), DataError, "at most 256"),
        ("logistic", {}, DataSpec((3,), levels=1), DataError, "constant"),
        ("logistic", {"coupled": True}, DIGITS, ConfigError, "3 channels"),
        ("gaussian", {"dequantize": True}, TABLE, ConfigError, "continuous"),
        ("student_t", {}, DIGITS, DataError, "17 levels"),
        ("gaussian", {"sigma": 1e-3, "min_sigma": 1e-2}, TABLE, ConfigError, "above min_sigma"),
        ("gaussian", {}, DataSpec((3,), mean=(0.0, 1.0)), DataError, "1 or 3"),
    ],
)
def test_data_outside_the_domain_is_refused_with_a_fix(
    name: str, fields: dict[str, Any], spec: DataSpec, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        build(name, fields, spec)


# --- missing values --------------------------------------------------------------------------------------------------


FLAT: list[tuple[str, dict[str, Any], int | None]] = [
    ("bernoulli", {}, 2),
    ("bernoulli", {"binarization": "expected"}, 5),
    ("gaussian", {"scale": "site"}, None),
    ("gaussian", {"scale": "shared"}, 5),
    ("logistic", {}, 5),
    ("logistic", {"components": 2}, 5),
    ("categorical", {}, 5),
]


@pytest.mark.parametrize(("name", "fields", "levels"), FLAT, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(FLAT)])
def test_a_masked_nan_is_as_if_its_column_were_absent(name: str, fields: dict[str, Any], levels: int | None) -> None:
    fields = {**fields, "dequantize": False} if name == "gaussian" and levels else fields
    whole, part = (build(name, fields, DataSpec((columns,), levels=levels)) for columns in (5, 4))
    kept = torch.tensor([0, 1, 3, 4])
    part.decoder.load_state_dict(whole.decoder.state_dict())
    with torch.no_grad():
        for ours, theirs in zip(part.head.layer.parameters(), whole.head.layer.parameters(), strict=True):
            ours.copy_(theirs.unflatten(0, (-1, 5))[:, kept].flatten(0, 1))
    x = data(DataSpec((5,), levels=levels)).float() if levels else torch.randn(8, 5)
    x[:, 2] = math.nan
    mask = torch.ones(8, 5)
    mask[:, 2] = 0
    state = torch.randn(8, LATENT)
    totals = [score(whole, Batch(x, mask=mask), state), score(part, Batch(x[:, kept]), state)]
    assert torch.allclose(*totals, rtol=1e-5)
    for a, b in zip(whole.decoder.parameters(), part.decoder.parameters(), strict=True):
        assert a.grad is not None and a.grad.isfinite().all()
        assert torch.allclose(a.grad, b.grad, atol=1e-5, rtol=1e-4)
    assert not whole.head.layer.weight.grad.unflatten(0, (-1, 5))[:, 2].any()


def score(likelihood: Any, batch: Batch, state: Tensor) -> Tensor:
    prepared = likelihood.prepare(batch)
    assert prepared.x.isfinite().all()
    total = Trace(prepared, [], likelihood(Given(8, state=state)), samples=1).log_likelihood().sum()
    total.backward()
    return total.detach()


def test_a_coupled_pixel_cannot_be_masked_by_channel() -> None:
    likelihood = build("logistic", {"components": 2, "coupled": True}, COLOUR)
    batch = likelihood.prepare(Batch(data(COLOUR), mask=torch.ones(8, *COLOUR.shape)))
    with pytest.raises(DataError, match="sites"):
        Trace(batch, [], likelihood(given()), samples=1).log_likelihood()


# --- context -------------------------------------------------------------------------------------------------------


def test_context_joins_the_state() -> None:
    decoder = Mlp((6,), in_shape=(LATENT + 2,))
    likelihood = MEMBERS["bernoulli"](spec=BINARY, features=(6,), decoder=decoder)
    a = likelihood(replace(given(), context=torch.ones(8, 2)))
    assert a.mean.shape == (8, 7)
