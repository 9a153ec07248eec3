"""Likelihood regret: what an encoder loses on a row, against a posterior of the row's own."""

from __future__ import annotations

import torch
from torch import Tensor

from vaekit.core import Batch, Given, Latent, Trace, sum_sites
from vaekit.distributions import Gaussian
from vaekit.errors import DataError
from vaekit.model import VAE, Group

STEPS, RATE, DRAWS = 100, 0.05, 4


def regret(model: VAE, batch: Batch, steps: int = STEPS) -> Tensor:
    """max_{μ, σ} ELBO(x; N(μ, σ²)) − ELBO(x; q(z | x)) in nats, at least zero, (B,).

    The encoder was trained on normal rows: on others its posterior is far from the best one. The search begins at the
    encoder's, takes `steps` steps of Adam for all rows at once, with the same few draws throughout, and keeps each row's best.
    Latent groups keep their order: a later prior sees the earlier group's z.

    Raises `DataError` where the posterior is not a factorized normal.

    References: Xiao, Yan, Amit (2020), Likelihood regret: an out-of-distribution detection score for variational auto-encoder.
    """
    start = posteriors(model, batch)
    generator = torch.Generator(start[0].device).manual_seed(0)
    shapes = [q.shape[1:] for q in start]
    noise = [draws(shape[1:], generator) for shape in shapes]
    with torch.inference_mode(False), torch.enable_grad():
        free = [q.clone().requires_grad_() for q in start]
        optimizer = torch.optim.Adam(free, lr=RATE)
        first = best = elbo(model, batch, free, noise).detach()
        for _ in range(steps):
            value = elbo(model, batch, free, noise)
            best = torch.maximum(best, value.detach())
            for q, gradient in zip(free, torch.autograd.grad(-value.sum(), free), strict=True):  # of nothing else
                q.grad = gradient
            optimizer.step()
        best = torch.maximum(best, elbo(model, batch, free, noise).detach())
    return best - first


def draws(shape: torch.Size, generator: torch.Generator) -> Tensor:
    """Noise with mean 0 and variance 1 over the few draws, so that they stand for many, (draws, *shape)."""
    noise = torch.randn(DRAWS, *shape, generator=generator, device=generator.device)
    return (noise - noise.mean(0)) / noise.std(0, correction=0)


def posteriors(model: VAE, batch: Batch) -> list[Tensor]:
    """μ and log σ of every group's q, (2, B, *latent) each."""
    found: list[Tensor] = []

    def choose(group: Group, p: object, given: Given) -> Latent:
        q = group.posterior(given).q
        if not isinstance(q, torch.distributions.Normal):
            raise DataError(
                f"the score 'regret' needs a normal posterior, got {type(q).__name__}.\n  fix: another score"
            )
        found.append(torch.stack([q.mean, q.stddev.log()]).detach())
        return Latent(group.name, q.mean, p, q)  # type: ignore[arg-type]

    model.unroll(model.given(batch), choose)
    return found


def elbo(model: VAE, batch: Batch, free: list[Tensor], noise: list[Tensor]) -> Tensor:
    """The ELBO of every row under posteriors in hand, averaged over the draws, (B,)."""
    total = torch.zeros((), device=free[0].device)
    context = model.embed(batch.context, len(batch))
    for draw in range(DRAWS):
        remaining = iter(zip(free, noise, strict=True))

        def choose(group: Group, p: object, given: Given, remaining: object = remaining, draw: int = draw) -> Latent:
            (mean, log_scale), random = next(remaining)  # type: ignore[call-overload]
            q = Gaussian(mean, log_scale)
            return Latent(group.name, mean + log_scale.exp() * random[draw], p, q)  # type: ignore[arg-type]

        given, latents = model.unroll(Given(len(batch), context=context), choose)
        trace = Trace(batch, latents, model.likelihood(given.without_evidence()), 1)
        costs = sum(sum_sites(value) for value in trace.kl().values())
        total = total + (sum_sites(trace.log_likelihood()) - costs)[0] / DRAWS
    return total
