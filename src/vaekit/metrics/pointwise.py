"""The deterministic pass: every latent at the centre of its posterior."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.distributions import Distribution

from vaekit.core import Batch, Given, Latent, Trace
from vaekit.distributions import central
from vaekit.model import VAE, Group


def centred(model: VAE, batch: Batch) -> Trace:
    """One pass over a prepared batch with z = the central value of q instead of a draw; S = 1.

    Where groups depend on each other, the later ones are inferred given the centres of the earlier ones.
    """
    given, latents = model.unroll(model.given(batch), choose_central)
    return Trace(batch, latents, model.likelihood(given.without_evidence()), 1)


def choose_central(group: Group, p: Distribution, given: Given) -> Latent:
    """The `choose` of deterministic tasks: the centre of q, or the likeliest of the values that are listed."""
    proposal = group.posterior(given)
    if proposal.enumerate is not None:
        z = likeliest(proposal.q, proposal.enumerate, given.rows)
    else:
        z = proposal.z if proposal.z is not None else centre(proposal.q)
    return Latent(group.name, z, p, proposal.q, code=proposal.code, drawn=proposal.z is not None)


def likeliest(q: Distribution, values: Tensor, rows: int) -> Tensor:
    """The listed value (K, *latent) with the highest probability for every row, (N, *latent)."""
    scores = torch.stack([q.log_prob(value.expand(rows, *value.shape)) for value in values])  # (K, N)
    return values[scores.argmax(0)]


def centre(distribution: Distribution) -> Tensor:
    """The central value of a distribution over one tensor."""
    value = central(distribution)
    assert isinstance(value, Tensor), "named parts have no common centre"
    return value


def reconstruction(model: VAE, trace: Trace) -> Tensor:
    """The central value of p(x | z) in the data's own units, (B, *shape)."""
    return model.likelihood.restore(centre(trace.likelihood))
