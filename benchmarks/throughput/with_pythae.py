"""Contender: pythae's own trainer. The MLP is its default network; the convolutional ones are the shared ones.

Its optimizer is Adam as its trainer makes it. It has no reduced precision for this loss: its trainer switches that off for
`bce`, and elsewhere has it on CUDA alone.
"""

from __future__ import annotations

import math
import tempfile
from typing import Any

import convnets
import pixels
import torch
from pythae.data.datasets import BaseDataset
from pythae.models import VAE, VAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.trainers import BaseTrainer, BaseTrainerConfig
from pythae.trainers.training_callbacks import TrainingCallback
from settings import BATCH, LATENT, RATE, Settings
from torch import Tensor, nn
from turns import Turns


class Encoder(BaseEncoder):  # type: ignore[misc]
    """The shared encoder with pythae's two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.net = convnets.Encoder()
        self.embedding = nn.Linear(3136, LATENT)
        self.log_var = nn.Linear(3136, LATENT)

    def forward(self, x: Tensor) -> Any:
        """(N, 1, 28, 28) → μ and log σ²."""
        features = self.net(x)
        return ModelOutput(embedding=self.embedding(features), log_covariance=self.log_var(features))


class Decoder(BaseDecoder):  # type: ignore[misc]
    """The shared decoder with a head for probabilities, which is what pythae's loss takes."""

    def __init__(self) -> None:
        super().__init__()
        self.net = convnets.Decoder()
        self.head = nn.Conv2d(16, 1, kernel_size=1)

    def forward(self, z: Tensor) -> Any:
        """(N, 16) → probabilities (N, 1, 28, 28)."""
        return ModelOutput(reconstruction=self.head(self.net(z)).sigmoid())


class Hook(TrainingCallback):  # type: ignore[misc]
    """Takes turns at the end of an epoch."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns

    def on_epoch_end(self, training_config: Any, **kwargs: Any) -> None:
        """Called by the trainer."""
        self.turns.ended_epoch()


@torch.no_grad()
def held_out(model: Any, data: Tensor) -> tuple[float, float]:
    """The ELBO and its standard error, from pythae's own loss on batches of 100."""
    model.eval()
    bounds = torch.stack([-model({"data": x}).loss for x in data.split(100)])
    return bounds.mean().item(), bounds.std().item() / math.sqrt(len(bounds))


def main() -> None:
    """Train with turns, then score the held-out images."""
    settings, turns = Settings.read(), Turns()
    torch.manual_seed(settings.seed)
    arrays = pixels.load(settings.data, settings.images)
    train, test = (torch.from_numpy(part.copy()).float().div_(255).reshape(-1, 1, 28, 28) for part in arrays)
    conv = settings.nets == "conv"
    model = VAE(
        VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENT, reconstruction_loss="bce"),
        encoder=Encoder() if conv else None,
        decoder=Decoder() if conv else None,
    )
    with tempfile.TemporaryDirectory() as folder:
        plan = BaseTrainerConfig(
            output_dir=folder,
            num_epochs=settings.epochs,
            learning_rate=RATE,
            per_device_train_batch_size=BATCH,
            no_cuda=True,
            seed=settings.seed,
        )
        rows = BaseDataset(train, torch.zeros(len(train)))
        trainer = BaseTrainer(model, rows, training_config=plan, callbacks=[Hook(turns)])
        turns.ready(precision="float32", torch=torch.__version__, threads=torch.get_num_threads())
        trainer.train()
    turns.held_out(*held_out(model, test))


if __name__ == "__main__":
    main()
