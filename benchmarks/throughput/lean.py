"""Contender: the leanest training loop that we know how to write in PyTorch by hand, for the same maths.

The data is one tensor of floats in memory, a batch is one `index_select`, Adam is fused, gradients are dropped and not zeroed,
the loss is two sums, and nothing is logged, checked or kept. With `compile`, the whole of the loss is one graph. Denormal
numbers are flushed and freed memory is kept, which few loops by hand do: without the first, Adam alone takes four times as
long after three epochs.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import sys
from collections.abc import Callable

import convnets
import pixels
import torch
import torch.nn.functional as F
from settings import BATCH, HIDDEN, LATENT, PIXELS, RATE, Settings
from torch import Tensor, nn
from turns import Turns

Loss = Callable[[Tensor, Tensor], Tensor]


class Nets(nn.Module):
    """The encoder, to μ and log σ, and the decoder, to logits."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        if kind == "mlp":
            self.encoder = nn.Sequential(nn.Linear(PIXELS, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2 * LATENT))
            self.decoder = nn.Sequential(nn.Linear(LATENT, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, PIXELS))
        else:
            self.encoder = nn.Sequential(convnets.Encoder(), nn.Linear(3136, 2 * LATENT))
            self.decoder = nn.Sequential(convnets.Decoder(), nn.Conv2d(16, 1, kernel_size=1))

    def forward(self, x: Tensor, noise: Tensor) -> Tensor:
        """−ELBO of a batch, in nats per example, ()."""
        loc, log_scale = self.encoder(x).float().chunk(2, 1)
        logits = self.decoder(torch.addcmul(loc, noise, log_scale.exp())).float()
        kl = 0.5 * (loc.square() + torch.expm1(2 * log_scale)).sum() - log_scale.sum()
        return (F.binary_cross_entropy_with_logits(logits, x, reduction="sum") + kl) / len(x)


def train_epoch(loss: nn.Module, optimizer: torch.optim.Optimizer, data: Tensor, cast: torch.autocast | None) -> None:
    """One pass over the data in random order."""
    context = cast or contextlib.nullcontext()
    for rows in torch.randperm(len(data)).split(BATCH):
        with context:
            value = loss(data.index_select(0, rows), torch.randn(BATCH, LATENT))
        value.backward()
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)


@torch.no_grad()
def held_out(nets: nn.Module, data: Tensor) -> tuple[float, float]:
    """The ELBO and its standard error, from the means of batches of 100."""
    bounds = torch.stack([-nets(x, torch.randn(len(x), LATENT)) for x in data.split(100)])
    return bounds.mean().item(), bounds.std().item() / math.sqrt(len(bounds))


def tune() -> None:
    """Flush denormals in all threads (before there are any), and let glibc keep up to 1 GiB of freed memory."""
    torch.set_flush_denormal(True)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, size in {-3: 2**25, -1: 2**30, -2: 2**26}.items():  # mmap threshold, trim threshold, top pad
            mallopt(option, size)


def main() -> None:
    """Train with turns, then score the held-out images."""
    tune()
    settings, turns = Settings.read(), Turns()
    torch.manual_seed(settings.seed)
    shape = (-1, 1, 28, 28) if settings.nets == "conv" else (-1, PIXELS)
    arrays = pixels.load(settings.data, settings.images)
    train, test = (torch.from_numpy(part.copy()).float().div_(255).reshape(shape) for part in arrays)
    nets = Nets(settings.nets)
    if settings.nets == "conv":
        nets = nets.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(nets.parameters(), lr=RATE, fused=True)
    cast = torch.autocast("cpu", torch.bfloat16) if settings.precision == "bfloat16" else None
    loss = torch.compile(nets) if settings.compile else nets
    turns.ready(precision=settings.precision, torch=torch.__version__, threads=torch.get_num_threads())
    for _ in range(settings.epochs):
        train_epoch(loss, optimizer, train, cast)
        turns.ended_epoch()
    turns.held_out(*held_out(nets, test))


if __name__ == "__main__":
    main()
