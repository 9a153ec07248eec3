"""The model: an encoder, named latent groups, a likelihood, and the one loop over the groups.

Training, generation, replay, interpolation and compression differ only in `choose`, which is handed the group, its prior and
what is given, and *returns* the latent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.core import Batch, Conditional, Given, Latent, Likelihood, Posterior, Proposal, Trace, repeat

Choose = Callable[["Group", Distribution, Given], Latent]


class Concat(nn.Module):
    """The plainest summary of the groups so far: their values side by side (the value itself, for the first)."""

    def forward(self, state: Tensor | None, z: Tensor) -> Tensor:
        """(N, *state), (N, *latent) → (N, *new state)."""
        return z if state is None else torch.cat([state, z], dim=1)


class Group(nn.Module):
    """One latent group: its prior p(z_l | z_<l, c), its posterior q(z_l | z_<l, x, c), and how its value joins the state."""

    def __init__(self, name: str, prior: Conditional, posterior: Posterior, merge: nn.Module | None = None) -> None:
        super().__init__()
        self.name = name
        self.prior = prior
        self.posterior = posterior
        self.merge = merge if merge is not None else Concat()


class Encoder(nn.Module):
    """Evidence from a batch: `net(x)`, or `net([x·m, m])` (channels side by side) where some of x was not observed."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, batch: Batch) -> Tensor:
        """(B, *data) → (B, *features)."""
        if batch.mask is None:
            return self.net(batch.x)  # type: ignore[no-any-return]
        assert isinstance(batch.x, Tensor) and isinstance(batch.mask, Tensor), "named parts need an encoder of their own"
        mask = batch.mask.expand_as(batch.x)
        return self.net(torch.cat([batch.x * mask, mask.to(batch.x.dtype)], dim=1))  # type: ignore[no-any-return]


class VAE(nn.Module):
    """p(x, z | c) and q(z | x, c).

    `encoder` maps a `Batch` to evidence, `context` maps the named entries of `Batch.context` to one embedding `(B, C)`.
    """

    def __init__(
        self, encoder: nn.Module, groups: list[Group], likelihood: Likelihood, context: nn.Module | None = None
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.groups = nn.ModuleDict({group.name: group for group in groups})
        self.likelihood = likelihood
        self.context = context

    def unroll(self, given: Given, choose: Choose) -> tuple[Given, list[Latent]]:
        """THE loop over the latent groups, in generative order."""
        latents: list[Latent] = []
        for group in self.groups.values():
            latent = choose(group, group.prior(given.without_evidence()), given)  # type: ignore[arg-type, operator]
            state = group.merge(given.state, latent.z)  # type: ignore[operator]
            given, latents = replace(given, state=state), [*latents, latent]
        return given, latents

    def given(self, batch: Batch, samples: int = 1) -> Given:
        """What the posterior is given: evidence, context and observed groups, for S·B rows."""
        return Given(
            rows=samples * len(batch),
            evidence=repeat(self.encoder(batch), samples),
            context=repeat(self.embed(batch.context), samples),
            observed=repeat(batch.observed, samples),
        )

    def embed(self, context: Mapping[str, Tensor]) -> Tensor | None:
        """Named context entries → one embedding, (B, C); None for a model without context."""
        return None if self.context is None else self.context(context)

    def forward(self, batch: Batch, samples: int = 1, path: bool = False) -> Trace:
        """One recorded pass with z drawn from q: S = `samples` · (values of the enumerated groups) samples a datum.

        `batch` must have been prepared by the likelihood. With `path`, q is also re-scored with constant parameters.
        """
        support = [group.posterior.support for group in self.groups.values()]  # type: ignore[union-attr]
        total = samples
        for size in support:
            total *= size  # type: ignore[assignment, operator]
        given, latents = self.unroll(self.given(batch, total), Infer(len(batch), path))
        likelihood = self.likelihood(given.without_evidence())
        return Trace(batch, latents, likelihood, total, log_weight(latents, samples, total))

    def decode(self, latents: Mapping[str, Tensor], context: Mapping[str, Tensor] | None = None) -> Distribution:
        """p(x | z, c) at given values, by group name, (N, *latent) each."""
        rows = len(next(iter(latents.values())))
        given, _ = self.unroll(
            Given(rows, context=self.embed(context or {})),
            lambda group, p, given: Latent(group.name, latents[group.name], p),
        )
        return self.likelihood(given.without_evidence())  # type: ignore[no-any-return]

    def generate(
        self,
        n: int,
        context: Mapping[str, Tensor] | None = None,
        draw: Callable[[Distribution], Tensor] = lambda p: p.sample(),
    ) -> Distribution:
        """p(x | z, c) at n draws from the prior. `draw` says how (with a temperature, say)."""
        given, _ = self.unroll(
            Given(n, context=self.embed(context or {})), lambda group, p, given: Latent(group.name, draw(p), p)
        )
        return self.likelihood(given.without_evidence())  # type: ignore[no-any-return]


class Infer:
    """The `choose` of training and evaluation: draw from q, or enumerate it, and record."""

    def __init__(self, batch_size: int, path: bool = False) -> None:
        self.batch_size = batch_size
        self.path = path
        self.block = batch_size  # rows for which the next enumerated group keeps its value

    def __call__(self, group: Group, p: Distribution, given: Given) -> Latent:
        proposal: Proposal = group.posterior(given)
        z = self.value(proposal, given.rows)
        return Latent(
            name=group.name,
            z=z,
            p=p,
            q=proposal.q,
            q_path=constant_parameters(group, given) if self.path else None,
            penalties=proposal.penalties,
            enumerated=proposal.enumerate is not None,
            code=proposal.code,
        )

    def value(self, proposal: Proposal, rows: int) -> Tensor:
        """z: the value already drawn, the next one of an enumeration, or a reparameterized draw, (N, *latent)."""
        if proposal.enumerate is not None:
            which = torch.arange(rows, device=proposal.enumerate.device) // self.block % len(proposal.enumerate)
            self.block *= len(proposal.enumerate)
            return proposal.enumerate[which]
        if proposal.z is not None:
            return proposal.z
        return proposal.q.rsample() if proposal.q.has_rsample else proposal.q.sample()


def constant_parameters(group: Group, given: Given) -> Distribution:
    """q with the posterior's parameters and evidence held constant, so that gradients flow through z alone.

    Detaching q's own parameters instead is biased when groups depend on each other: z_<l enters through the state.
    References: Roeder, Wu, Duvenaud (2017), Sticking the landing; Tucker et al. (2019), Doubly reparameterized gradients.
    """
    weights = {name: value.detach() for name, value in group.posterior.named_parameters()}
    still = replace(given, evidence=detach(given.evidence), context=detach(given.context))
    return torch.func.functional_call(group.posterior, weights, (still,)).q  # type: ignore[no-any-return]


def detach(values: object) -> object:
    """Constants of a tensor or a sequence of tensors."""
    if isinstance(values, Tensor):
        return values.detach()
    return [detach(value) for value in values] if isinstance(values, list | tuple) else values


def log_weight(latents: list[Latent], samples: int, total: int) -> Tensor | None:
    """log of each sample's weight, (S, B): q's probability of an enumerated value, over the number of draws."""
    enumerated = [latent for latent in latents if latent.enumerated]
    if not enumerated:
        return None
    log_q = torch.stack([latent.log_q() for latent in enumerated]).sum(0)  # (N,)
    return log_q.unflatten(0, (total, -1)) - torch.tensor(float(samples)).log().to(log_q)
