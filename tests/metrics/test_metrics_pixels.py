"""PSNR, SSIM and MS-SSIM, and what is said where they cannot be had."""

from __future__ import annotations

import builtins
import sys
from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from linear_model import binary_model, grey_rows
from torch.distributions import OneHotCategorical

from vaekit.core import Conditional, DataSpec, Given, Posterior, Proposal
from vaekit.errors import ConfigError, MissingExtraError
from vaekit.metrics import centred, pixels, reconstruction
from vaekit.metrics.prepare import chunks
from vaekit.model import VAE, Group

SPEC = DataSpec((1, 23, 29), levels=200)


def noisy(spec: DataSpec, noise: float, n: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    assert spec.levels is not None
    x = torch.rand(n, *spec.shape, generator=generator).cumsum(-1) / spec.shape[-1] * (spec.levels - 1)
    return x + noise * torch.randn(x.shape, generator=generator), x


def test_psnr_is_measured_against_the_highest_level() -> None:
    x = torch.zeros(2, *SPEC.shape)
    found = pixels.psnr(x + torch.tensor([19.9, 1.99]).reshape(-1, 1, 1, 1), x, SPEC)
    torch.testing.assert_close(found, torch.tensor([20.0, 40.0]))
    assert pixels.psnr(x, x, SPEC).tolist() == [float("inf")] * 2


@pytest.mark.parametrize("measure", [pixels.ssim, pixels.ms_ssim])
@pytest.mark.parametrize("n", [1, 3])
def test_structural_similarity_is_one_for_equal_images_and_falls_with_noise(
    measure: Callable[..., Any], n: int
) -> None:
    pytest.importorskip("torchmetrics")
    clean, slight, strong = (measure(*noisy(SPEC, noise, n), SPEC) for noise in (0.0, 4.0, 40.0))
    assert clean.shape == (n,)
    torch.testing.assert_close(clean, torch.ones(n))
    assert (slight < 1).all() and (strong < slight).all()


def test_small_images_get_fewer_scales_and_tiny_ones_no_figure() -> None:
    assert pixels.scales(SPEC) == 2 and pixels.scales(DataSpec((3, 200, 176), levels=256)) == 5
    assert not pixels.has_ssim(DataSpec((1, 8, 30), levels=17))
    assert not pixels.has_ssim(DataSpec((1, 28, 28))) and not pixels.has_ssim(DataSpec((40,), levels=4))
    assert pixels.scales(DataSpec((1, 8, 30), levels=17)) == 0


def refuse(error: Exception) -> Callable[..., Any]:
    """An import that fails for torchmetrics alone."""
    real = builtins.__import__

    def importing(name: str, *rest: Any, **named: Any) -> Any:
        if name.split(".")[0] == "torchmetrics":
            raise error
        return real(name, *rest, **named)

    return importing


def without(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "torchmetrics"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse(error))


def test_a_missing_torchmetrics_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, ModuleNotFoundError("No module named 'torchmetrics'", name="torchmetrics"))
    with pytest.raises(MissingExtraError, match=r"vaekit\[metrics\]"):
        pixels.torchmetrics_images()


@pytest.mark.parametrize(
    "error",
    [RuntimeError("operator torchvision::nms does not exist"), ModuleNotFoundError("No module named 'x'", name="x")],
)
def test_a_broken_torchvision_is_named(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    without(monkeypatch, error)
    with pytest.raises(ConfigError, match="pip uninstall torchvision"):
        pixels.torchmetrics_images()


def test_the_deterministic_pass_takes_every_group_at_its_centre() -> None:
    model, rows = binary_model(latents=(2, 3)), grey_rows(9)
    chunk = next(chunks(model, rows, 0))
    first, second = (centred(model, chunk.batch) for _ in range(2))
    for latent, again in zip(first.latents, second.latents, strict=True):
        assert latent.q is not None
        assert torch.equal(latent.z, latent.q.mean) and torch.equal(latent.z, again.z)
    out = reconstruction(model, first)
    assert out.shape == (9, *rows.spec.shape) and out.min() >= 0 and out.max() <= 15
    values: Mapping[str, torch.Tensor] = {latent.name: latent.z for latent in first.latents}
    torch.testing.assert_close(model.likelihood.restore(model.decode(values).mean), out)


class Listed(Posterior):
    """A listed group: the second of three values is the likeliest for every row."""

    support = 3

    def forward(self, given: Given) -> Proposal:
        logits = torch.tensor([0.0, 1.0, -1.0]).expand(given.rows, 3)
        return Proposal(OneHotCategorical(logits=logits, validate_args=False), enumerate=torch.eye(3))


class Even(Conditional):
    """A uniform prior over three values."""

    def forward(self, given: Given) -> OneHotCategorical:
        return OneHotCategorical(logits=torch.zeros(given.rows, 3), validate_args=False)


def test_a_listed_group_is_centred_on_its_likeliest_value_and_summed_over_in_bounds() -> None:
    from vaekit.metrics import measure

    base = binary_model(latents=(3,))
    model = VAE(base.encoder, [Group("y", Even(), Listed())], base.likelihood).eval()  # type: ignore[arg-type]
    rows = grey_rows(6)
    trace = centred(model, next(chunks(model, rows, 0)).batch)
    assert torch.equal(trace.latents[0].z, torch.tensor([[0.0, 1.0, 0.0]]).expand(6, 3))
    with torch.no_grad():
        prepared = next(chunks(model, rows, 0)).batch
        each = torch.stack([model.decode({"y": value.expand(6, 3)}).log_prob(prepared.x) for value in torch.eye(3)])  # type: ignore[arg-type]
    exact = (each.flatten(2).sum(2) - torch.log(torch.tensor(3.0))).logsumexp(0).mean().item()
    assert measure(model, rows, 1).importance_weighted.mean == pytest.approx(exact, rel=1e-5)
    assert measure(model, rows, 7).importance_weighted.mean == pytest.approx(exact, rel=1e-5)
