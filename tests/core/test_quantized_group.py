"""A quantized latent group: a VQ-VAE is the same loop, the same bound, and two penalties."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from toys import CodePrior, NormalLikelihood, VectorQuantizer, gradients

from vaekit.core import Batch
from vaekit.model import VAE, Encoder, Group
from vaekit.objectives.elbo import Elbo

POSITIONS, CODES, WIDTH, DATA, BATCH = 3, 7, 2, 5, 6


class Net(nn.Module):
    """An encoder with parameters of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(DATA, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x).tanh()


class Flat(nn.Module):
    """The vectors of all positions side by side."""

    def forward(self, state: Tensor | None, z: Tensor) -> Tensor:
        return z.flatten(1)


def vq_vae(commitment: float = 0.25) -> VAE:
    posterior = VectorQuantizer(POSITIONS, CODES, WIDTH, 4, commitment)
    group = Group("codes", CodePrior(posterior), posterior, merge=Flat())
    return VAE(Encoder(Net()), [group], NormalLikelihood((DATA,), POSITIONS * WIDTH))


@pytest.mark.parametrize("samples", [1, 2])
def test_the_record_of_a_quantized_group(samples: int) -> None:
    model, x = vq_vae(), torch.randn(BATCH, DATA)
    trace = model(Batch(x), samples=samples)
    latent = trace.latents[0]
    codebook = model.groups["codes"].posterior.codebook
    assert latent.code.shape == (samples * BATCH, POSITIONS)
    torch.testing.assert_close(latent.z, codebook[latent.code], rtol=0, atol=1e-14)
    kl = trace.kl()["codes"]
    assert kl.shape == (samples, BATCH, POSITIONS)
    log_p = model.groups["codes"].prior.logits.log_softmax(-1)
    by_hand = -log_p[torch.arange(POSITIONS), latent.code].reshape(samples, BATCH, POSITIONS)
    torch.testing.assert_close(kl, by_hand, rtol=0, atol=1e-12)
    torch.testing.assert_close(trace.rows_to_samples(latent.sampled_kl()), kl, rtol=0, atol=1e-12)
    bound = (trace.log_likelihood().sum(-1) - kl.sum(-1)).mean(0)
    torch.testing.assert_close(trace.expect(trace.log_ratio()), bound, rtol=0, atol=1e-12)


def test_gradients_reach_every_part() -> None:
    model = vq_vae()
    Elbo()(model(Batch(torch.randn(BATCH, DATA))), step=0).loss.backward()
    found = gradients(model)
    assert {name.split(".")[0] for name in found} == {"encoder", "groups", "likelihood"}
    assert all(torch.isfinite(value).all() and value.any() for value in found.values())


def test_what_each_gradient_is_of() -> None:
    """Straight-through: the encoder gets the decoder's gradient at the code; the codebook only the penalty's."""
    model, x = vq_vae(), torch.randn(BATCH, DATA)
    trace = model(Batch(x))
    latent, posterior = trace.latents[0], model.groups["codes"].posterior
    (at_z,) = torch.autograd.grad(trace.log_likelihood().sum(), latent.z, retain_graph=True)
    (at_encoder,) = torch.autograd.grad(trace.log_likelihood().sum(), latent.q.encoded, retain_graph=True)
    assert torch.equal(at_z, at_encoder)
    reconstruction = torch.autograd.grad(
        trace.log_likelihood().sum(), posterior.codebook, retain_graph=True, allow_unused=True
    )
    assert reconstruction == (None,)
    penalties = trace.penalties()
    assert set(penalties) == {"codes/codebook", "codes/commitment"}
    (pull,) = torch.autograd.grad(penalties["codes/codebook"].sum(), posterior.codebook, retain_graph=True)
    expected = torch.zeros_like(pull).index_add(
        0, latent.code.flatten(), 2 * (latent.q.embedded - latent.q.encoded).flatten(0, 1)
    )
    torch.testing.assert_close(pull, expected, rtol=0, atol=1e-12)


def test_penalties_are_in_the_loss_and_never_in_the_bound() -> None:
    results = []
    for commitment in (0.25, 2.5):
        torch.manual_seed(3)
        model = vq_vae(commitment)
        trace = model(Batch(torch.randn(BATCH, DATA)))
        results.append((Elbo()(trace, step=0), trace.penalties()["codes/commitment"].mean()))
    (one, penalty), (two, larger) = results
    assert penalty > 0.01
    torch.testing.assert_close(larger, 10 * penalty, rtol=0, atol=1e-12)
    torch.testing.assert_close(two.loss - one.loss, 9 * penalty, rtol=0, atol=1e-12)
    assert all(torch.equal(one.terms[name], two.terms[name]) for name in one.terms)


@pytest.mark.parametrize("times", [3])
def test_a_repeated_batch_has_the_same_loss(times: int) -> None:
    """A published VQ loss grows with the batch."""
    model, x = vq_vae(), torch.randn(BATCH, DATA)
    once, thrice = (Elbo()(model(Batch(x.repeat(n, 1))), step=0) for n in (1, times))
    torch.testing.assert_close(once.loss, thrice.loss, rtol=0, atol=1e-12)
    for name in once.terms:
        torch.testing.assert_close(once.terms[name], thrice.terms[name], rtol=0, atol=1e-12)
    first, again = (model(Batch(x), samples=n).penalties()["codes/codebook"].mean() for n in (1, 4))
    torch.testing.assert_close(first, again, rtol=0, atol=1e-12)


def test_the_second_stage_is_the_same_bound_with_the_rest_frozen() -> None:
    """The KL, descended in the prior alone, reaches the empirical entropy of the codes."""
    model, x = vq_vae(), torch.randn(400, DATA)
    prior = model.groups["codes"].prior
    model.requires_grad_(False)
    prior.requires_grad_(True)
    code = model(Batch(x)).latents[0].code
    share = torch.nn.functional.one_hot(code, CODES).double().mean(0)  # (T, M)
    entropy = -torch.special.xlogy(share, share).sum()
    optimizer = torch.optim.LBFGS([prior.logits], lr=0.5, max_iter=200, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = Elbo()(model(Batch(x)), step=0).loss
        loss.backward()
        return loss

    optimizer.step(closure)
    assert [name for name, value in model.named_parameters() if value.grad is not None] == ["groups.codes.prior.logits"]
    assert Elbo()(model(Batch(x)), step=0).terms["kl"].item() == pytest.approx(entropy.item(), abs=1e-3)


def test_generated_values_are_codes() -> None:
    model = vq_vae()
    drawn = model.groups["codes"].prior(model.given(Batch(torch.randn(50, DATA))).without_evidence()).sample()
    assert drawn.shape == (50, POSITIONS, WIDTH)
    assert torch.cdist(drawn, model.groups["codes"].posterior.codebook).min(-1).values.max() < 1e-7
    assert model.generate(4).mean.shape == (4, DATA)
