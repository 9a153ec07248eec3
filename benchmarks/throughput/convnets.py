"""The small convolutional networks for 28×28 that `vaekit`, pythae and the hand-written loop are all given."""

from __future__ import annotations

from torch import Tensor, nn


class Encoder(nn.Module):
    """(N, 1, 28, 28) → (N, 3136)."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 32, kernel_size=4, stride=2, padding=1)
        self.second = nn.Conv2d(32, 64, kernel_size=4, stride=2, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Two strided convolutions with ReLU."""
        return self.second(self.first(x).relu()).relu().flatten(1)


class Decoder(nn.Module):
    """(N, 16) → (N, 16, 28, 28); what reads the features is a 1×1 convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.spread = nn.Linear(16, 64 * 7 * 7)
        self.first = nn.ConvTranspose2d(64, 32, kernel_size=4, stride=2, padding=1)
        self.second = nn.ConvTranspose2d(32, 16, kernel_size=4, stride=2, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        """A linear layer and two strided transposed convolutions with ReLU."""
        x = self.spread(z).relu().reshape(-1, 64, 7, 7)
        return self.second(self.first(x).relu()).relu()
