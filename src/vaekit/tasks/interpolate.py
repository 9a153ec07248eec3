"""Paths through the latent space from one example to another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from vaekit.data.dataset import rows_of
from vaekit.errors import ConfigError
from vaekit.run import Run, SplitName
from vaekit.tasks.decoding import decoded, flat, unflat
from vaekit.tasks.embed import embed
from vaekit.tasks.records import plain
from vaekit.tasks.rows import Chosen, Progress, chosen, in_range

Mode = Literal["linear", "slerp"]
PAIRS = 4  # where none are asked for


@dataclass(frozen=True)
class Interpolation:
    """Decoded paths, in the data's own units."""

    images: Tensor  # (pairs, steps, *shape)
    latents: Tensor  # (pairs, steps, d)
    weights: Tensor  # of the second end, from 0 to 1                 (steps,)
    ids: tuple[tuple[str, str], ...]  # of both ends
    labels: Tensor | None  # of both ends                             (pairs, 2)
    mode: Mode

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values: dict[str, Any] = plain(self)
        return values


def interpolate(
    run: Run,
    pairs: Sequence[tuple[int, int]] | None = None,
    steps: int = 9,
    mode: Mode = "linear",
    *,
    data: Any = None,
    split: SplitName = "test",
    seed: int = 0,
    progress: Progress | None = None,
) -> Interpolation:
    """Decode points between the posterior centres of two examples; the context, where there is one, is blended likewise.

    Args:
        run: the trained model.
        pairs: row numbers `(from, to)`; by default four pairs, evenly spaced over the rows.
        steps: points of a path, both ends included.
        mode: `linear`: (1 − w) a + w b, whose middle is nearer to the origin than its ends; or `slerp`, along the great
            circle, which keeps the length that high-dimensional normal draws have. Each latent group has its own path.
        data: instead of the run's own: a path, an array, a tensor, PIL images, or rows.
        split: of the run's own data.
        seed: of the noise that prepares the data.
        progress: called with the number of points decoded, and of all.

    Raises:
        ConfigError, DataError: `steps` below 2, an unknown mode, row numbers out of range, fewer than two rows.
    """
    if not isinstance(steps, int) or steps < 2:
        raise ConfigError(f"steps: expected a whole number above 1, got {steps!r}")
    if mode not in get_args(Mode):
        raise ConfigError(f"mode: expected 'linear' or 'slerp', got {mode!r}")
    where = chosen(run, data, split)
    ends = some_pairs(len(where.rows)) if pairs is None else checked(pairs, len(where.rows))
    points = embed(run, where.rows, indices=[row for pair in ends for row in pair], seed=seed)
    weights = torch.linspace(0, 1, steps)
    path = path_between(run, points.mean[0::2], points.mean[1::2], weights, mode)  # (pairs, steps, d)
    context = context_between(run, where, ends, weights)
    images = decoded(run, unflat(run, path.flatten(0, 1)), context=context, progress=progress)
    return Interpolation(
        images=images.reshape(len(ends), steps, *images.shape[1:]),
        latents=path,
        weights=weights,
        ids=tuple(zip(points.ids[0::2], points.ids[1::2], strict=True)),
        labels=None if points.labels is None else points.labels.reshape(-1, 2),
        mode=mode,
    )


def path_between(run: Run, a: Tensor, b: Tensor, weights: Tensor, mode: Mode) -> Tensor:
    """Points between (pairs, d) and (pairs, d), group by group, (pairs, steps, d)."""
    blend = linear if mode == "linear" else slerp
    starts, ends = unflat(run, a), unflat(run, b)
    parts = {name: blend(starts[name].flatten(1), ends[name].flatten(1), weights) for name in starts}
    return flat({name: part.flatten(0, 1) for name, part in parts.items()}).reshape(len(a), len(weights), -1)


def context_between(run: Run, where: Chosen, ends: Sequence[tuple[int, int]], weights: Tensor) -> Tensor | None:
    """The embedded context along each path, linear between that of its ends, (pairs · steps, C); None without a context."""
    model, rows = run.model, torch.tensor(ends, device=where.device)
    named = [rows_of(where.rows.context, rows[:, side]) for side in (0, 1)]
    with torch.no_grad():
        a, b = (model.embed(entries, len(ends)) for entries in named)
    return None if a is None or b is None else linear(a, b, weights).flatten(0, 1)


def linear(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """(1 − w) a + w b: (pairs, d) twice, (steps,) → (pairs, steps, d)."""
    return torch.lerp(a[:, None], b[:, None], weights[:, None].to(a))


def slerp(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """(sin((1 − w) Ω) a + sin(w Ω) b) / sin Ω, Ω the angle between a and b; linear where they are (anti)parallel.

    References: Shoemake (1985), Animating rotation with quaternion curves. White (2016), Sampling generative networks.
    """
    cosine = torch.cosine_similarity(a, b, dim=1).clamp(-1, 1)  # (pairs,)
    angle = torch.acos(cosine)[:, None, None]
    w = weights[:, None].to(a)
    curved = torch.sin((1 - w) * angle) * a[:, None] + torch.sin(w * angle) * b[:, None]
    straight = torch.sin(angle) < 1e-4
    return torch.where(straight, linear(a, b, weights), curved / torch.where(straight, 1.0, torch.sin(angle)))


def some_pairs(total: int) -> list[tuple[int, int]]:
    """Pairs that are evenly spaced over the rows, each half the rows apart."""
    if total < 2:
        raise ConfigError(f"a path needs two examples, got {total}")
    count = min(PAIRS, total // 2)
    return [(i * (total // 2) // count, total // 2 + i * (total // 2) // count) for i in range(count)]


def checked(pairs: Sequence[tuple[int, int]], total: int) -> list[tuple[int, int]]:
    """Pairs of row numbers. Raises `ConfigError`."""
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ConfigError(f"pairs: expected pairs of row numbers such as [(0, 1)], got {pairs!r}")
    numbers = in_range([row for pair in pairs for row in pair], total)
    return list(zip(numbers[0::2], numbers[1::2], strict=True))
