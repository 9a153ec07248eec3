"""The marginal bound and Bayes' rule, where both are known in closed form."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Generator, Tensor, nn
from torch.distributions import Distribution, Normal

from vaekit.core import Batch, ContextSpec, DataSpec, Given, Likelihood, Posterior, Proposal
from vaekit.data.resident import ResidentRows
from vaekit.distributions import StandardNormal
from vaekit.metrics.bayes import FEW, classify
from vaekit.model import VAE, Encoder, Group
from vaekit.priors.standard import Standard

MEANS = torch.tensor([[0.0, 0.0, 1.0], [1.5, -1.0, 0.0], [-2.0, 0.5, 0.3], [0.2, 0.1, 0.9]])
SHARES = (0.4, 0.3, 0.2, 0.1)
ENTRY = ContextSpec(classes=("a", "b", "c", "d"), shares=SHARES)


class OneHot(nn.Module):
    """The class as it is; unknown: nothing."""

    def forward(self, context: dict[str, Tensor], rows: int) -> Tensor:
        label = context.get("label", torch.full((rows,), -1))
        return (label[:, None] == torch.arange(4)).float()


class PriorAgain(Posterior):
    """q(z | x) = p(z): importance weights are p(x | z, y)."""

    def forward(self, given: Given) -> Proposal:
        return Proposal(StandardNormal((given.rows, 2), torch.zeros(())))


class Blobs(Likelihood):
    """p(x | z, y) = N(m_y + a z, 1): with a = 0 every estimate is exact."""

    def __init__(self, slope: float) -> None:
        super().__init__()
        self.slope = slope
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, given: Given) -> Distribution:
        assert given.context is not None and given.state is not None
        return Normal(given.context @ MEANS + self.slope * given.state[:, :1], 1.0, validate_args=False)

    def prepare(self, batch: Batch, generator: Generator | None = None) -> Batch:
        return replace(batch, x=batch.x)

    def restore(self, x: Tensor) -> Tensor:
        return x


def model(slope: float = 0.0) -> VAE:
    return VAE(Encoder(nn.Identity()), [Group("z", Standard(shape=(2,)), PriorAgain())], Blobs(slope), OneHot()).eval()


def rows(n: int = 57) -> tuple[ResidentRows, Tensor]:
    generator = torch.Generator().manual_seed(1)
    label = torch.multinomial(torch.tensor(SHARES), n, replacement=True, generator=generator)
    x = MEANS[label] + torch.randn(n, 3, generator=generator)
    spec = DataSpec((3,), context={"label": ENTRY})
    return ResidentRows(x, spec, label, context={"label": label}), label


@pytest.mark.parametrize("samples", [1, FEW, FEW + 7])
def test_exact_weights_give_the_exact_marginal_and_posterior(samples: int) -> None:
    data, label = rows()
    found = classify(model(), data, "label", ENTRY, samples)
    given = Normal(MEANS, 1.0).log_prob(data.x[:, None]).sum(2).double()  # (n, 4)
    torch.testing.assert_close(found.given_class, given, rtol=0, atol=1e-4)
    joint = given + torch.tensor(SHARES).double().log()
    torch.testing.assert_close(found.marginal, joint.logsumexp(1), rtol=0, atol=1e-4)
    assert torch.equal(found.predicted, joint.argmax(1)) and torch.equal(found.truth, label)


def test_the_classifier_is_not_told_the_class() -> None:
    """Other labels change the bound of a row's own class, and nothing that is predicted."""
    data, label = rows(60)
    other = replace(data, context={"label": (label + 1) % 4})
    found, changed = (classify(model(0.8), part, "label", ENTRY, FEW + 30) for part in (data, other))
    assert torch.equal(found.given_class, changed.given_class)
    assert not torch.isclose(found.given_truth, changed.given_truth).any()
    exact = Normal(MEANS, 1.0).log_prob(data.x[:, None]).sum(2).double()
    alone = classify(model(), data, "label", ENTRY, FEW + 30)
    torch.testing.assert_close(alone.given_truth, exact[torch.arange(60), label], rtol=0, atol=1e-4)
    hidden = classify(model(), replace(data, context={}), "label", ENTRY, 2)
    assert hidden.given_truth.isnan().all() and (hidden.truth == -1).all()


def test_with_latents_it_is_a_bound_that_more_samples_tighten() -> None:
    data, _ = rows(400)
    slope = 0.8
    covariance = torch.eye(3) + slope**2 * torch.ones(3, 3)  # the first latent is added to every number
    exact = torch.distributions.MultivariateNormal(MEANS, covariance).log_prob(data.x[:, None]).double()
    marginal = (exact + torch.tensor(SHARES).double().log()).logsumexp(1).mean()
    loose, tight = (classify(model(slope), data, "label", ENTRY, k).marginal.mean() for k in (2, 600))
    assert loose < tight < marginal + 0.02
    assert tight == pytest.approx(marginal.item(), abs=0.02)


def test_rows_do_not_depend_on_their_order_and_unknown_ones_are_scored() -> None:
    data, label = rows(9)
    hidden = replace(data, context={"label": torch.where(torch.arange(9) % 2 == 0, label, -1)})
    found = classify(model(), hidden, "label", ENTRY, 5, order=torch.tensor([7, 2, 4]))
    assert found.truth.tolist() == [-1, int(label[2]), int(label[4])]
    whole = classify(model(), data, "label", ENTRY, 5)
    torch.testing.assert_close(found.given_class, whole.given_class[[7, 2, 4]])
