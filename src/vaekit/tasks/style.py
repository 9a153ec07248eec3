"""The same style under another context: what a latent says besides the context, kept while the context changes."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.distributions import Distribution, Normal

from vaekit.core import Given, Latent
from vaekit.metrics.pointwise import centre
from vaekit.model import VAE, Context, Group


def under(model: VAE, latents: Sequence[Latent], context: Context) -> Distribution:
    """p(x | z', c') where z' lies in p(z | c') as z lay in p(z | c).

    z' = μ' + σ' (z − μ) / σ for normal priors, group by group; with a prior that does not depend on the context, z' = z.
    """
    before = {latent.name: latent for latent in latents}
    rows = len(latents[0].z)

    def choose(group: Group, p: Distribution, given: Given) -> Latent:
        return Latent(group.name, moved(before[group.name].z, before[group.name].p, p), p)

    given, _ = model.unroll(Given(rows, context=model.embed(context, rows)), choose)
    return model.likelihood(given.without_evidence())  # type: ignore[no-any-return]


def moved(z: Tensor, old: Distribution, new: Distribution) -> Tensor:
    """z as it lay in `old`, in `new`, (N, *latent)."""
    if not (isinstance(old, Normal) and isinstance(new, Normal)):
        return z
    return centre(new) + new.stddev * (z - centre(old)) / old.stddev
