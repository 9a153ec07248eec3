"""The model: an encoder, named latent groups, a likelihood, and the one loop over the groups.

Training, generation, replay, interpolation and compression differ only in `choose`, which is handed the group, its prior and
what is given, and *returns* the latent.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import cast

import torch
from torch import Tensor, nn
from torch.distributions import Distribution

from vaekit.core import (
    Batch,
    Conditional,
    Given,
    Latent,
    Likelihood,
    Posterior,
    Proposal,
    Trace,
    each,
    repeat,
    sum_sites,
)

Choose = Callable[["Group", Distribution, Given], Latent]
Context = Mapping[str, Tensor] | Tensor  # named entries, or their embedding (rows, C)


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


class Groups(nn.ModuleDict):
    """Latent groups by name, in generative order. Called, they re-score every q at recorded values."""

    def in_order(self) -> Iterator[Group]:
        """The groups, first to last."""
        return cast(Iterator[Group], iter(self.values()))

    def forward(self, given: Given, latents: list[Latent]) -> list[Latent]:
        """The same latents with `log_q_path` set (here, as a distribution may hold networks that it runs later)."""
        rescored = []
        for group, latent in zip(self.in_order(), latents, strict=True):
            rescored.append(replace(latent, log_q_path=group.posterior(given).q.log_prob(latent.z)))
            given = replace(given, state=group.merge(given.state, latent.z))
        return rescored


class Encoder(nn.Module):
    """Evidence from a batch: `net(x)`; with `masked`, `net([x·m, m])`, side by side along the first data axis.

    A masked encoder takes complete data too (m = 1). One that is not sees missing values as the likelihood has filled them:
    that is still a posterior, and the bound still holds, but it cannot tell a filled value from an observed one.
    """

    def __init__(self, net: nn.Module, masked: bool = False) -> None:
        super().__init__()
        self.net = net
        self.masked = masked

    def forward(self, batch: Batch) -> Tensor:
        """(B, *data) → (B, *features)."""
        x = batch.x
        assert isinstance(x, Tensor), "named parts need an encoder of their own"
        return self.net(with_mask(x, batch.mask) if self.masked else x)  # type: ignore[no-any-return]


def with_mask(x: Tensor, mask: object) -> Tensor:
    """[x·m, m], (B, 2·C, ...). What was not observed is 0 even where it is NaN."""
    observed = mask.bool().expand_as(x) if isinstance(mask, Tensor) else torch.ones_like(x, dtype=torch.bool)
    return torch.cat([torch.where(observed, x, 0.0), observed.to(x.dtype)], dim=1)


class VAE(nn.Module):
    """p(x, z | c) and q(z | x, c).

    `encoder` maps a `Batch` to evidence. `context` maps the named entries of `Batch.context` (some or all may be absent, or
    unknown in some rows) and the number of rows to one embedding `(B, C)`.
    """

    def __init__(
        self, encoder: nn.Module, groups: list[Group], likelihood: Likelihood, context: nn.Module | None = None
    ) -> None:
        super().__init__()
        names = [group.name for group in groups]
        assert len(set(names)) == len(names), f"latent groups need different names, got {names}"
        self.encoder = encoder
        self.groups = Groups({group.name: group for group in groups})
        self.likelihood = likelihood
        self.context = context

    def unroll(self, given: Given, choose: Choose) -> tuple[Given, list[Latent]]:
        """THE loop over the latent groups, in generative order."""
        latents: list[Latent] = []
        for group in self.groups.in_order():
            latent = choose(group, group.prior(given.without_evidence()), given)
            given, latents = replace(given, state=group.merge(given.state, latent.z)), [*latents, latent]
        return given, latents

    def given(self, batch: Batch, samples: int = 1) -> Given:
        """What the posterior is given: evidence, context and observed groups, for S·B rows."""
        return Given(
            rows=samples * len(batch),
            evidence=repeat(self.encoder(batch), samples),
            context=repeat(self.embed(batch.context, len(batch)), samples),
            observed=repeat(batch.observed, samples),
        )

    def embed(self, context: Context | None, rows: int) -> Tensor | None:
        """Named context entries → one embedding, (rows, C), if they are not embedded yet; None for a model without context."""
        if self.context is None:
            return None
        return context if isinstance(context, Tensor) else self.context(context or {}, rows)

    def forward(self, batch: Batch, samples: int = 1, path: bool = False) -> Trace:
        """One recorded pass with z drawn from q: S = `samples` · (values of the enumerated groups) samples a datum.

        `batch` must have been prepared by the likelihood. With `path`, q is also re-scored with constant parameters.
        """
        support = {group.name: group.posterior.support for group in self.groups.in_order()}
        total = samples * math.prod(list(support.values()))  # a list: torch.compile cannot trace a view
        start = self.given(batch, total)
        given, latents = self.unroll(start, Infer(len(batch), support))
        likelihood = self.likelihood(given.without_evidence())
        if path:
            latents = with_path(self.groups, start, latents)
        return Trace(batch, latents, likelihood, total, log_weight(latents, samples, total))

    def decode(self, latents: Mapping[str, Tensor], context: Context | None = None) -> Distribution:
        """p(x | z, c) at given values, by group name, (N, *latent) each."""
        rows = len(next(iter(latents.values())))
        given, _ = self.unroll(
            Given(rows, context=self.embed(context, rows)),
            lambda group, p, given: Latent(group.name, latents[group.name], p),
        )
        return self.likelihood(given.without_evidence())  # type: ignore[no-any-return]

    def generate(
        self,
        n: int,
        context: Context | None = None,
        draw: Callable[[Distribution], Tensor] = lambda p: p.sample(),
    ) -> Distribution:
        """p(x | z, c) at n draws from the prior. `draw` says how (with a temperature, say)."""
        given, _ = self.unroll(
            Given(n, context=self.embed(context, n)), lambda group, p, given: Latent(group.name, draw(p), p)
        )
        return self.likelihood(given.without_evidence())  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Infer:
    """The `choose` of training and evaluation: draw from q, or enumerate it, and record.

    Sample s = (draw · K_1 + k_1) · K_2 + k_2 holds value k_l of the l-th enumerated group: the last one varies fastest. A
    value that is drawn before a group is enumerated is the same for all of that group's values, so weights sum to one.
    """

    batch_size: int
    support: Mapping[str, int]  # values of each group, in generative order; 1: sampled

    def __call__(self, group: Group, p: Distribution, given: Given) -> Latent:
        proposal: Proposal = group.posterior(given)
        return Latent(
            name=group.name,
            z=self.value(group.name, proposal, given.rows),
            p=p,
            q=proposal.q,
            penalties=proposal.penalties,
            enumerated=proposal.enumerate is not None,
            drawn=proposal.z is not None,
            code=proposal.code,
        )

    def value(self, name: str, proposal: Proposal, rows: int) -> Tensor:
        """z: the value for these rows of an enumeration, one already drawn, or a reparameterized draw, (N, *latent)."""
        values = proposal.enumerate
        listed = 1 if values is None else len(values)
        assert listed == self.support[name], f"'{name}' lists {listed} values, but its support is {self.support[name]}"
        if proposal.z is not None:
            return proposal.z
        block = self.batch_size * self.after(name)  # successive rows that share a value of this group
        if values is not None:
            return values[torch.arange(rows, device=values.device) // block % listed]
        z = proposal.q.rsample() if proposal.q.has_rsample else proposal.q.sample()
        return z if block == self.batch_size else shared(z, self.batch_size, block)

    def after(self, name: str) -> int:
        """The number of combinations of values of the groups after this one."""
        names = list(self.support)
        return math.prod([self.support[later] for later in names[names.index(name) + 1 :]])


def shared(z: Tensor, batch_size: int, block: int) -> Tensor:
    """The first B rows of every block of rows, for the whole block, (N, *latent)."""
    blocks = z.reshape(-1, block // batch_size, batch_size, *z.shape[1:])
    return blocks[:, :1].expand_as(blocks).reshape(z.shape)


def with_path(groups: Groups, given: Given, latents: list[Latent]) -> list[Latent]:
    """The latents with q re-scored under constant parameters and evidence: gradients flow through the values alone.

    To detach q's own parameters instead would also cut the way in which z_<l enters q(z_l | z_<l, x): that leaves noise at
    the exact posterior, and biases doubly reparameterized gradients. The posteriors run a second time (on copies of their
    buffers), so they must be functions of what is given: no dropout inside.
    References: Roeder, Wu, Duvenaud (2017), Sticking the landing; Tucker et al. (2019), Doubly reparameterized gradients.
    """
    constants = {name: value.detach() for name, value in groups.named_parameters()}
    constants |= {name: value.clone() for name, value in groups.named_buffers()}
    still = replace(given, evidence=each(Tensor.detach, given.evidence), context=each(Tensor.detach, given.context))
    return torch.func.functional_call(groups, constants, (still, latents))  # type: ignore[no-any-return]


def log_weight(latents: list[Latent], samples: int, total: int) -> Tensor | None:
    """log of each sample's weight, (S, B): q's probability of an enumerated value, over the number of draws."""
    log_q = [sum_sites(latent.log_q(), keep=1) for latent in latents if latent.enumerated]  # (N,) each
    if not log_q:
        return None
    return torch.stack(log_q).sum(0).reshape(total, -1) - math.log(samples)
