"""Priors and posteriors: shapes, what they may look at, bounded scales, latent vectors and maps."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from dataclasses import replace
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import kl_divergence

from vaekit import posteriors, priors
from vaekit.core import Given
from vaekit.errors import ConfigError
from vaekit.posteriors.gaussian import Gaussian, bounded
from vaekit.priors.standard import Standard

SHAPES = [(5,), (2, 3, 4)]
EVIDENCE = (6, 3, 4)


def members(family: ModuleType) -> dict[str, Any]:
    found = {}
    for module in pkgutil.iter_modules(family.__path__):
        name = "".join(part.capitalize() for part in module.name.split("_"))
        kind = getattr(importlib.import_module(f"{family.__name__}.{module.name}"), name, None)
        if inspect.isclass(kind):
            found[module.name] = kind
    return found


PRIORS, POSTERIORS = members(priors), members(posteriors)


def evidence(rows: int = 7, shape: tuple[int, ...] = EVIDENCE) -> Given:
    torch.manual_seed(3)
    return Given(rows, evidence=torch.randn(rows, *shape))


def test_members_are_found() -> None:
    assert "standard" in PRIORS
    assert "gaussian" in POSTERIORS


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", PRIORS)
def test_prior_has_the_rows_it_is_asked_for(name: str, shape: tuple[int, ...]) -> None:
    prior = PRIORS[name](shape=shape, state_shape=(3,))
    p = prior(Given(7, state=torch.randn(7, 3)))
    z = p.sample()
    assert z.shape == (7, *shape)
    assert p.log_prob(z).shape[0] == 7


@pytest.mark.parametrize("name", PRIORS)
def test_prior_follows_the_modules_type_and_adds_nothing_else_to_checkpoints(name: str) -> None:
    prior = PRIORS[name](shape=(5,), state_shape=(2,)).double()
    assert prior(Given(3, state=torch.zeros(3, 2).double())).sample().dtype == torch.float64
    parameters = {key for key, _ in prior.named_parameters()}
    assert parameters <= set(prior.state_dict())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", POSTERIORS)
def test_posterior_proposes_a_latent_of_its_shape_with_gradients(name: str, shape: tuple[int, ...]) -> None:
    posterior = POSTERIORS[name](shape=shape, evidence_shape=EVIDENCE, state_shape=None)
    q = posterior(evidence()).q
    z = q.rsample() if q.has_rsample else q.sample()
    assert z.shape == (7, *shape)
    q.log_prob(z).sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in posterior.parameters())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_rows_of_a_posterior_depend_on_their_own_evidence(shape: tuple[int, ...]) -> None:
    posterior, given = Gaussian(shape=shape, evidence_shape=EVIDENCE), evidence()
    order = torch.tensor([3, 1, 0, 2, 6, 5, 4])
    permuted = posterior(replace(given, evidence=given.evidence[order])).q
    assert torch.allclose(permuted.mean, posterior(given).q.mean[order], atol=1e-6)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("state", [None, (2, 3, 4), (5,)], ids=str)
@pytest.mark.parametrize("context", [None, (3,)], ids=str)
def test_state_and_context_stand_beside_the_evidence(
    shape: tuple[int, ...], state: tuple[int, ...] | None, context: tuple[int, ...] | None
) -> None:
    posterior = Gaussian(shape=shape, evidence_shape=EVIDENCE, state_shape=state, context_shape=context)
    values = {
        key: torch.randn(7, *part).requires_grad_() for key, part in (("state", state), ("context", context)) if part
    }
    q = posterior(replace(evidence(), **values)).q
    assert q.mean.shape == (7, *shape)
    q.mean.sum().backward()
    assert all(value.grad is not None and value.grad.any() for value in values.values())


def test_a_map_on_the_evidences_grid_is_local() -> None:
    posterior, given = Gaussian(shape=(2, 3, 4), evidence_shape=EVIDENCE), evidence()
    moved = given.evidence.clone()
    moved[:, :, 1, 2] += 1
    changed = (posterior(given).q.mean != posterior(replace(given, evidence=moved)).q.mean).any(dim=1)
    assert changed[:, 1, 2].all()
    assert changed.sum() == 7


@pytest.mark.parametrize("shape", [(2, 4, 3), (2, 5, 5)], ids=str)
def test_a_map_on_another_grid_is_refused_with_the_encoders_grid(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError, match=r"3 × 4.*\n.*\(2, 3, 4\)"):
        Gaussian(shape=shape, evidence_shape=EVIDENCE)


def test_a_map_from_a_vector_and_a_matrix() -> None:
    assert Gaussian(shape=(2, 3, 4), evidence_shape=(6,))(evidence(shape=(6,))).q.mean.shape == (7, 2, 3, 4)
    with pytest.raises(ConfigError, match="expected a latent of shape"):
        Gaussian(shape=(2, 3), evidence_shape=(6,))


def test_log_scale_is_bounded_smoothly_and_exact_near_zero() -> None:
    raw = torch.linspace(-40, 40, 401, dtype=torch.float64).requires_grad_()
    log_scale = bounded(raw)
    assert log_scale.min() >= -7
    assert log_scale.max() <= 2
    assert torch.allclose(log_scale[190:201], raw[190:201], atol=0.06)  # −2 … 0
    assert torch.allclose(log_scale[200:202], raw[200:202], atol=0.02)  # 0 … 0.2
    (slope,) = torch.autograd.grad(log_scale.sum(), raw)
    assert (slope > 0).all()
    assert slope.max() <= 1


def test_extreme_evidence_keeps_divergence_and_gradients_finite() -> None:
    posterior, prior = Gaussian(shape=(5,), evidence_shape=(6,)), Standard(shape=(5,))
    given = Given(7, evidence=1e6 * torch.randn(7, 6))
    kl = kl_divergence(posterior(given).q, prior(given))
    kl.sum().backward()
    assert kl.isfinite().all()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in posterior.parameters())


def test_half_precision_evidence_gives_float32_distributions() -> None:
    posterior = Gaussian(shape=(5,), evidence_shape=(6,))
    with torch.autocast("cpu", torch.bfloat16):
        q = posterior(evidence(shape=(6,))).q
    assert q.mean.dtype == q.rsample().dtype == torch.float32


def test_one_graph_without_breaks() -> None:
    posterior, prior, given = Gaussian(shape=(5,), evidence_shape=EVIDENCE), Standard(shape=(5,)), evidence()

    def divergence(values: Tensor) -> Tensor:
        q = posterior(Given(7, evidence=values)).q
        return kl_divergence(q, prior(Given(7))).sum() + q.rsample().sum() * 0

    torch.compiler.reset()
    compiled = torch.compile(divergence, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(given.evidence), divergence(given.evidence))
