"""Examples moved along the direction of an attribute."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vaekit.core import ContextSpec
from vaekit.data.attributes import check_path, read_attributes
from vaekit.data.context import LABEL, Column, read_column
from vaekit.errors import ConfigError, DataError, near
from vaekit.run import Run, SplitName
from vaekit.tasks.conditions import class_number
from vaekit.tasks.decoding import decoded, unflat
from vaekit.tasks.embed import embed
from vaekit.tasks.records import plain
from vaekit.tasks.rows import Chosen, Progress, chosen, positive

LEARNED_FROM = 5000  # examples whose embeddings give the direction, at the most
STRENGTHS = (-2.0, -1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)


@dataclass(frozen=True)
class Edit:
    """Examples along a direction of the latent space, in the data's own units."""

    images: Tensor  # (n, strengths, *shape)
    latents: Tensor  # (n, strengths, d)
    inputs: Tensor  # (n, *shape)
    direction: Tensor  # the step of strength 1                        (d,)
    strengths: tuple[float, ...]
    attribute: str  # `label=3`
    ids: tuple[str, ...]
    examples: tuple[int, int]  # with the attribute, and without it, that the direction comes from

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values: dict[str, Any] = plain(self)
        return values


def edit(
    run: Run,
    attribute: str,
    strengths: Sequence[float] = STRENGTHS,
    *,
    n: int = 8,
    indices: Sequence[int] | None = None,
    data: Any = None,
    split: SplitName = "test",
    attributes: str | Path | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Edit:
    """Decode z + s · v, where v leads from the examples without an attribute to those with it.

    v is the mean posterior centre of the examples with the attribute, less that of the others; of a column of numbers, the
    change of the centre for a change by one standard deviation. It is taken from the training rows (or from `data`), of a run
    with or without a context; with one, the context of every example stays as it is.

    Args:
        run: the trained model.
        attribute: `label=3`, by name or number; or the name of a column of numbers.
        strengths: s, so many steps of v.
        n: how many examples, evenly spaced.
        indices: or these.
        data: instead of the run's own: a path, an array, a tensor, PIL images, or rows.
        split: the examples, of the run's own data.
        attributes: of a folder of images, a table of further columns, as `data.attributes`; None: the run's own.
        seed: of the noise that prepares the data.
        progress: called with the number of examples decoded, and of all.

    Raises:
        ConfigError: an attribute that the data does not have; the message lists those it has.
        DataError: no example with it, or none without.

    References:
        Larsen et al. (2016), Autoencoding beyond pixels using a learned similarity metric, section 4.1.
        White (2016), Sampling generative networks (attribute vectors).
    """
    if not len(strengths):
        raise ConfigError("strengths: expected at least one number, got none")
    positive("n", n)
    source = chosen(run, data, "train", n=LEARNED_FROM)
    values = attribute_of(run, source, attribute, attributes)  # (m,)
    direction, examples = direction_of(run, source, values, attribute, seed)
    where = chosen(run, data, split, n=None if indices is not None else n, indices=indices)
    points = embed(run, where.rows, indices=where.order.tolist(), seed=seed)
    steps = torch.tensor([float(strength) for strength in strengths])
    z = points.mean[:, None] + steps[None, :, None] * direction  # (n, strengths, d)
    context = {name: values[where.order].repeat_interleave(len(steps), 0) for name, values in cpu(where).items()}
    images = decoded(run, unflat(run, z.flatten(0, 1)), context=context, progress=progress)
    inputs = where.rows.gather(where.order).x
    assert isinstance(inputs, Tensor), "named parts have no common picture"
    return Edit(
        images=images.reshape(*z.shape[:2], *images.shape[1:]),
        latents=z,
        inputs=inputs.cpu(),
        direction=direction,
        strengths=tuple(steps.tolist()),
        attribute=attribute,
        ids=points.ids,
        examples=examples,
    )


def attribute_of(run: Run, source: Chosen, attribute: str, table: str | Path | None) -> Tensor:
    """1 for the examples with the attribute, 0 without, NaN unknown; or the values of a column of numbers, (m,)."""
    name, equals, value = (part.strip() for part in attribute.partition("="))
    columns, known = dict(cpu(source)), dict(run.spec.context)
    if source.rows.labels is not None and LABEL not in columns:
        columns[LABEL] = source.rows.labels.cpu()
        known[LABEL] = ContextSpec(classes=run.spec.classes)
    for key, column in from_table(run, source, table).items():
        if key not in columns:
            columns[key] = column.values
            known[key] = ContextSpec(classes=column.classes, size=1 if column.classes else column.values.shape[1])
    if name not in columns:
        there = ", ".join(columns) or "no labels and no other columns"
        raise ConfigError(f"attribute: the data has no '{name}'{near(name, columns)}; it has {there}")
    entry, values = known[name], columns[name][source.order]
    if entry.is_category:
        if not equals:
            raise ConfigError(f"attribute: expected {name}=CLASS, one of {', '.join(entry.classes[:20])}")
        number = class_number(name, value, entry)
        return torch.where(values < 0, torch.nan, (values == number).double())
    if equals or entry.size > 1:
        raise ConfigError(
            f"attribute: '{name}' is no class: expected the name of a single number alone, or NAME=CLASS; got '{attribute}'"
        )
    return values[:, 0].double()


def from_table(run: Run, source: Chosen, table: str | Path | None) -> dict[str, Column]:
    """The columns of a table of files, in the order of the rows; none where there is no such table."""
    path = check_path(str(table) if table is not None else run.config.data.params.get("attributes"))
    if path is None:
        return {}
    names = list(source.rows.ids)
    return {
        key: read_column(key, values, len(names), str(path)) for key, values in read_attributes(path, names).items()
    }


def direction_of(run: Run, source: Chosen, values: Tensor, attribute: str, seed: int) -> tuple[Tensor, tuple[int, int]]:
    """The step of strength 1, (d,), and how many examples are above and below the mean of the attribute.

    Both cases are one formula: the slope of the centre on the attribute, times the attribute's step (from 0 to 1, or one
    standard deviation). For 0 and 1 that is the difference of the means.
    """
    known = ~values.isnan()
    values, order = values[known], source.order[known]
    if len(values) < 2 or bool((values == values[0]).all()):
        raise DataError(
            f"attribute: expected examples with and without '{attribute}', got only one kind among {len(values)}"
        )
    centres = embed(run, source.rows, indices=order.tolist(), seed=seed).mean.double()
    deviation = values - values.mean()
    slope = (deviation[:, None] * (centres - centres.mean(0))).sum(0) / deviation.square().sum()
    binary = bool(((values == 0) | (values == 1)).all())
    above = int((deviation > 0).sum())
    return (slope * (1.0 if binary else values.std(correction=0))).float(), (above, len(values) - above)


def cpu(where: Chosen) -> dict[str, Tensor]:
    """The context of all rows, on the CPU."""
    return {name: values.cpu() for name, values in where.rows.context.items()}


__all__ = ["Edit", "edit"]
