"""How near reconstructions are, in the data's own units: mean squared error, PSNR, SSIM, MS-SSIM."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from vaekit.core import DataSpec
from vaekit.errors import ConfigError, MissingExtraError

WINDOW = 11  # side of the Gaussian window, in pixels
SCALE_WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)  # of the five scales


def squared_error(outputs: Tensor, inputs: Tensor) -> Tensor:
    """Mean over the numbers of an example of (output − input)², in squared units of the data; (B, *shape) → (B,).

    Numbers that were not observed (NaN in the inputs) are left out.
    """
    squared = (outputs.float() - inputs.float()).square().flatten(1)
    missing = inputs.float().isnan().flatten(1)
    return torch.where(missing, 0.0, squared).sum(1) / (~missing).sum(1).clamp(min=1)


def psnr(outputs: Tensor, inputs: Tensor, spec: DataSpec) -> Tensor:
    """10 log₁₀((K − 1)² / mean squared error) in dB for data with K levels, (B,); infinite for a perfect output."""
    assert spec.levels is not None, "a peak needs data with levels"
    return 10 * torch.log10((spec.levels - 1) ** 2 / squared_error(outputs, inputs))


def ssim(outputs: Tensor, inputs: Tensor, spec: DataSpec) -> Tensor:
    """Structural similarity with an 11×11 Gaussian window, σ = 1.5; (B, C, H, W) → (B,). Needs sides of at least 11.

    References: Wang, Bovik, Sheikh, Simoncelli (2004), Image quality assessment.
    """
    assert spec.levels is not None and min(spec.shape[1:]) >= WINDOW, "see `has_ssim`"
    function = torchmetrics_images().structural_similarity_index_measure
    return each_image(function(outputs.float(), inputs.float(), data_range=float(spec.levels - 1), reduction="none"))


def ms_ssim(outputs: Tensor, inputs: Tensor, spec: DataSpec) -> Tensor:
    """SSIM over several scales, each half as large as the one before; (B, C, H, W) → (B,).

    Five scales need sides of 176 or more; smaller images get `scales(spec)` of them, with the weights of those made to sum to
    one. Figures of different numbers of scales cannot be compared.

    References: Wang, Simoncelli, Bovik (2003), Multiscale structural similarity for image quality assessment.
    """
    assert spec.levels is not None and scales(spec) > 1, "see `scales`"
    weights = SCALE_WEIGHTS[: scales(spec)]
    values = torchmetrics_images().multiscale_structural_similarity_index_measure(
        outputs.float(),
        inputs.float(),
        data_range=float(spec.levels - 1),
        reduction="none",
        betas=tuple(weight / sum(weights) for weight in weights),
        normalize="relu",
    )
    return each_image(values)


def has_ssim(spec: DataSpec) -> bool:
    """Whether there is a peak value, and the window fits."""
    return spec.levels is not None and spec.is_image and min(spec.shape[1:]) >= WINDOW


def scales(spec: DataSpec) -> int:
    """How many scales of MS-SSIM an image's sides allow: the window must be smaller than the smallest of them.

    >>> [scales(DataSpec((3, side, side + 2), levels=256)) for side in (8, 28, 64, 96, 160, 176)]
    [0, 2, 3, 3, 4, 5]
    """
    if not has_ssim(spec):
        return 0
    side = min(spec.shape[1:])
    # Also what torchmetrics asks for, which is more than that at four and five scales.
    fitting = [n for n in range(1, 6) if side > (WINDOW - 1) * 2 ** (n - 1) and side // max(1, n - 1) ** 2 >= WINDOW]
    return max(fitting, default=0)


def each_image(values: Tensor) -> Tensor:
    """One value an image, also where there is only one image, (B,)."""
    return values.reshape(-1)


def torchmetrics_images() -> Any:
    """`torchmetrics.functional.image`, imported only here.

    Raises:
        MissingExtraError: it is not installed.
        ConfigError: it is, but cannot be imported (a torchvision that does not fit torch).
    """
    try:
        import torchmetrics.functional.image as images
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] != "torchmetrics":
            raise unusable(error) from None
        raise MissingExtraError("torchmetrics", "metrics", "SSIM") from None
    except Exception as error:  # a broken torchvision raises RuntimeError in there
        raise unusable(error) from None
    return images


def unusable(error: Exception) -> ConfigError:
    """What to do about an import that fails."""
    return ConfigError(
        f"SSIM needs torchmetrics, which is installed but cannot be imported ({str(error).splitlines()[0]}).\n"
        "  fix: pip uninstall torchvision (nothing here needs it), or install the one that fits this torch"
    )
