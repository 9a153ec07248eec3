"""Networks: shapes for any data, exact grids, rows that do not depend on each other."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vaekit import nets
from vaekit.errors import ConfigError
from vaekit.nets.heads import head
from vaekit.nets.maps import Upsample, pyramid
from vaekit.nets.resnet import _Block
from vaekit.nets.shapes import grid, join, joined_shape, output_shape

SHAPES = [(1, 8, 8), (3, 9, 13), (5, 28, 28), (3, 17, 32), (1, 13, 9)]


def members() -> dict[str, type[nn.Module]]:
    found = {}
    for module in pkgutil.iter_modules(nets.__path__):
        name = "".join(part.capitalize() for part in module.name.split("_"))
        kind = getattr(importlib.import_module(f"vaekit.nets.{module.name}"), name, None)
        if inspect.isclass(kind):
            found[module.name] = kind
    return found


MEMBERS = members()
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in MEMBERS),
    ("mlp", {"hidden": (20, 20, 12), "residual": True, "layernorm": True, "dropout": 0.2, "activation": "tanh"}),
    ("mlp", {"hidden": (9,), "skip": True}),
    ("conv", {"channels": (6, 8, 12), "layers": 2, "norm": "group", "activation": "gelu"}),
    ("conv", {"channels": (7,)}),
    ("resnet", {"channels": (5, 6, 7), "blocks": (0, 2, 1), "patch": 2, "squeeze": True}),
    ("resnet", {"channels": (6,), "blocks": 1, "patch": 4, "norm": "none"}),
    ("resnet", {"channels": (5, 6), "blocks": 1, "patch": 2, "dense": 9}),
]
WITH_GRID = [(name, fields) for name, fields in VARIANTS if name != "mlp" and not fields.get("dense")]
NAMES = [f"{name}-{i}" for i, (name, _) in enumerate(VARIANTS)]


def test_members_are_found() -> None:
    assert {"mlp", "conv", "resnet"} <= set(MEMBERS)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "fields"), VARIANTS, ids=NAMES)
def test_encoder_and_decoder_fit_any_image(name: str, fields: dict[str, Any], shape: tuple[int, ...]) -> None:
    encoder = MEMBERS[name](**fields, in_shape=shape, grid=None)
    features = output_shape(encoder, shape)
    assert encoder(torch.rand(3, *shape)).shape == (3, *features)
    decoder = MEMBERS[name](**fields, in_shape=(7,), grid=shape[1:])
    assert grid(output_shape(decoder, (7,))) == (None if name == "mlp" else shape[1:])


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "fields"), WITH_GRID, ids=str)
def test_a_latent_map_on_the_encoders_grid_fits_the_decoder(
    name: str, fields: dict[str, Any], shape: tuple[int, ...]
) -> None:
    features = output_shape(MEMBERS[name](**fields, in_shape=shape, grid=None), shape)
    latent = (4, *features[1:])
    decoder = MEMBERS[name](**fields, in_shape=latent, grid=shape[1:])
    assert grid(output_shape(decoder, latent)) == shape[1:]


@pytest.mark.parametrize(("name", "fields"), VARIANTS, ids=NAMES)
def test_rows_do_not_depend_on_each_other(name: str, fields: dict[str, Any]) -> None:
    torch.manual_seed(0)
    net = MEMBERS[name](**fields, in_shape=(3, 9, 13), grid=None).double().eval()
    x = torch.randn(4, 3, 9, 13, dtype=torch.float64)
    assert torch.allclose(net(x)[1:2], net(x[1:2]), atol=1e-12)


@pytest.mark.parametrize(("name", "fields"), VARIANTS, ids=NAMES)
def test_every_parameter_gets_a_gradient_in_two_steps(name: str, fields: dict[str, Any]) -> None:
    # Two: what lies behind a last layer that starts at zero gets none in the first.
    torch.manual_seed(0)
    net = MEMBERS[name](**fields, in_shape=(6,), grid=(9, 13)).eval()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    z = torch.randn(5, 6)
    for _ in range(2):
        optimizer.zero_grad()
        net(z).square().sum(0).mean().backward()
        optimizer.step()
    assert all(p.grad is not None and p.grad.isfinite().all() and p.grad.any() for p in net.parameters())


@pytest.mark.parametrize(("name", "fields"), VARIANTS, ids=NAMES)
def test_bf16_autocast_and_channels_last_agree(name: str, fields: dict[str, Any]) -> None:
    torch.manual_seed(0)
    net = MEMBERS[name](**fields, in_shape=(3, 9, 13), grid=None).eval()
    x = torch.randn(4, 3, 9, 13)
    expected = net(x)
    last = net.to(memory_format=torch.channels_last)
    assert torch.allclose(last(x.contiguous(memory_format=torch.channels_last)), expected, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.allclose(net(x).float(), expected, atol=0.1, rtol=0.1)


def test_upsample_is_nearest_doubling_and_a_convolution() -> None:
    layer = Upsample(3, 4, grid=(13, 10)).double()
    x = torch.randn(2, 3, 7, 5, dtype=torch.float64)
    doubled = F.interpolate(x, scale_factor=2, mode="nearest")
    assert torch.allclose(layer(x), layer.convolution(doubled)[..., :13, :10], atol=1e-12)


def test_upsampling_a_constant_leaves_no_checkerboard() -> None:
    y = Upsample(3, 4, grid=(18, 13))(torch.ones(1, 3, 9, 7))
    inner = y[..., 1:-2, 1:-2]  # the border sees the padding
    assert torch.allclose(inner, inner[..., :1, :1].expand_as(inner), atol=1e-6)


def test_pyramid_rounds_up() -> None:
    assert pyramid((9, 13), 3) == [(9, 13), (5, 7), (3, 4), (2, 2)]


def test_residual_blocks_start_as_the_identity() -> None:
    torch.manual_seed(0)
    shallow = MEMBERS["resnet"](channels=(4, 6), blocks=1, norm="none", in_shape=(3, 9, 13), grid=None)
    torch.manual_seed(0)
    names = dict(shallow.named_parameters())
    assert any(n.endswith("weight") and not p.any() for n, p in names.items())
    x = torch.randn(2, 3, 9, 13)
    plain = [m for m in shallow.body if not isinstance(m, _Block)]
    assert torch.equal(shallow(x), nn.Sequential(*plain)(x))


@pytest.mark.parametrize("name", ["conv", "resnet"])
def test_vectors_are_refused_by_convolutions(name: str) -> None:
    with pytest.raises(ConfigError, match="'mlp'"):
        MEMBERS[name](in_shape=(11,), grid=None)


def test_skip_puts_the_input_beside_the_features() -> None:
    torch.manual_seed(0)
    fields = {"hidden": (6, 4), "activation": "tanh", "in_shape": (2, 3, 5)}
    net, plain = MEMBERS["mlp"](**fields, skip=True).double(), MEMBERS["mlp"](**fields).double()
    plain.load_state_dict(net.state_dict())
    x = torch.randn(7, 2, 3, 5, dtype=torch.float64)
    assert torch.equal(net(x), torch.cat([plain(x), x.flatten(1)], dim=1))
    assert output_shape(net, (2, 3, 5)) == (4 + 30,)


def test_a_head_on_skip_has_a_linear_path_to_the_latent() -> None:
    """With the features switched off, what remains is affine in z: a factor analysis."""
    torch.manual_seed(0)
    net = MEMBERS["mlp"](hidden=(6,), skip=True, in_shape=(3,)).double()
    layer = head(output_shape(net, (3,)), (5,)).double()
    with torch.no_grad():
        layer.layer.weight[:, :6] = 0  # type: ignore[index, union-attr]
    a, b = torch.randn(2, 4, 3, dtype=torch.float64)
    zero = layer(net(torch.zeros(1, 3, dtype=torch.float64)))
    torch.testing.assert_close(layer(net(2 * a - b)) - zero, 2 * (layer(net(a)) - zero) - (layer(net(b)) - zero))
    assert (layer(net(a)) - layer(net(b))).abs().min() > 1e-6


@pytest.mark.parametrize(("name", "right"), [("conv", (3, 4)), ("resnet", (5, 7))])
def test_a_map_on_another_grid_is_refused_with_the_right_one(name: str, right: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match=rf"\(4, {right[0]}, {right[1]}\)"):
        MEMBERS[name](in_shape=(4, 2, 2), grid=(9, 13))


# --- heads and shapes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("features", "numbers"),
    [((7,), (5,)), ((7,), (2, 3, 4)), ((6, 3, 5), (4,)), ((6, 3, 5), (2, 3, 5))],
    ids=str,
)
def test_heads_fit_and_start_where_told(features: tuple[int, ...], numbers: tuple[int, ...]) -> None:
    layer = head(features, numbers)
    assert layer(torch.rand(3, *features)).shape == (3, *numbers)
    start = torch.rand(*numbers)
    layer.start_at(start)
    assert torch.allclose(layer(torch.zeros(2, *features))[0], start)


def test_a_dense_layer_needs_a_latent_vector() -> None:
    with pytest.raises(ConfigError, match="dense: 0"):
        MEMBERS["resnet"](channels=(4,), dense=5, in_shape=(3, 8, 8), grid=(8, 8))


def test_a_head_between_grids_is_refused() -> None:
    with pytest.raises(ConfigError, match="9 × 13"):
        head((6, 5, 7), (3, 9, 13))


def test_join_spreads_vectors_over_maps_and_flattens_for_vectors() -> None:
    a, b = torch.rand(3, 2, 4, 5), torch.rand(3, 7)
    spread = join([a, b], as_map=True)
    assert spread.shape[1:] == joined_shape([(2, 4, 5), (7,)], as_map=True) == (9, 4, 5)
    assert torch.equal(spread[:, 2:, 1, 3], b)
    assert join([a, b], as_map=False).shape[1:] == joined_shape([(2, 4, 5), (7,)], as_map=False) == (47,)


def test_maps_on_two_grids_do_not_join() -> None:
    with pytest.raises(ConfigError, match="one grid"):
        joined_shape([(2, 4, 5), (2, 5, 4)], as_map=True)


class _Pair(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x, x


def test_output_shape_keeps_the_mode_and_explains_what_does_not_fit() -> None:
    net = MEMBERS["mlp"](hidden=(4,), dropout=0.5, in_shape=(3,), grid=None)
    output_shape(net, (3,))
    assert net.training
    with pytest.raises(ConfigError, match="does not accept"):
        output_shape(net, (4,))
    with pytest.raises(ConfigError, match="tuple"):
        output_shape(_Pair(), (4,))
