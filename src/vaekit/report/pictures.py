"""The pictures of the report: panels with their words, for images and for data that is no image."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from PIL import Image
from torch import Tensor

from vaekit.core import DataSpec
from vaekit.render import Strip, Window, drawable, grid, vectors
from vaekit.report.embed import THEMED, Panel, chart_panel, image_panel
from vaekit.tasks.generate import Generated
from vaekit.tasks.interpolate import Interpolation
from vaekit.tasks.reconstruct import Reconstruction
from vaekit.tasks.records import label_name
from vaekit.tasks.traverse import Traversal

STRIP, SHEET = 40_000, 130_000  # bytes that a strip, and a grid, may take
WIDE, THIRD = 1100, 700  # pixels across, at least, of pictures over the whole width and over a third of it
LINES = 5.4  # inches across, of charts of vectors


@dataclass(frozen=True)
class Line:
    """A row of examples that follow each other, and its words."""

    x: Tensor  # (steps, *shape)
    alt: str
    label: str
    note: str


@dataclass(frozen=True)
class Easel:
    """Draws examples of one kind of data, all between the same black and white."""

    spec: DataSpec
    window: Window

    @property
    def images(self) -> bool:
        """Whether examples are drawn with pixels."""
        return drawable(self.spec)

    def sheet(self, x: Tensor, across: int, pixels: int) -> Image.Image:
        """A grid, its images enlarged until it is about `pixels` wide, so that edges stay sharp on any screen."""
        width = self.spec.shape[-1] * (1 if self.spec.is_image or len(self.spec.shape) == 2 else self.spec.shape[0])
        return grid(x, self.spec, across, window=self.window, factor=max(1, -(-pixels // (across * width))))

    def pairs(self, found: Reconstruction, across: int) -> tuple[Panel, ...]:
        """Inputs above their reconstructions, `across` in a row; or lines over lines."""
        total = len(found.inputs)
        if not self.images:
            alt = f"Line charts of {total} examples: each input and, drawn over it, its reconstruction."
            return (chart_panel(vectors.overlays(found.inputs, found.outputs, self.spec, THEMED, width=LINES), alt),)
        panels = []
        for first in range(0, total, across):
            part = slice(first, min(first + across, total))
            both = torch.cat([found.inputs[part].float(), found.outputs[part]])
            alt = (
                f"Upper row: {part.stop - first} inputs{self.labelled(found, part)}. Lower row: their reconstructions."
            )
            panels.append(image_panel(self.sheet(both, part.stop - first, WIDE), alt, SHEET))
        return tuple(panels)

    def labelled(self, found: Reconstruction, part: slice) -> str:
        """The labels of some examples, for those who cannot see them."""
        if found.labels is None:
            return ""
        return f" ({', '.join(label_name(int(label), found.classes) or '?' for label in found.labels[part])})"

    def samples(self, found: dict[float, Generated], examples: Tensor | None, across: int) -> tuple[Panel, ...]:
        """A grid for every temperature; or histograms of every column."""
        if self.images:
            return tuple(
                image_panel(
                    self.sheet(drawn.images, across, THIRD),
                    f"{len(drawn.images)} new images at temperature {temperature:.1f}.",
                    SHEET,
                    label=f"T = {temperature:.1f}",
                )
                for temperature, drawn in found.items()
            )
        lines = {f"T = {temperature:.1f}": drawn.images for temperature, drawn in found.items()}
        alt = "Histograms of the first columns: the data, and new rows at each temperature."
        return (chart_panel(vectors.histograms(examples, lines, self.spec, THEMED, width=LINES), alt),)

    def styles(self, found: Generated) -> tuple[Panel, ...]:
        """A strip for each condition, its images from the same latents."""
        each = found.images.reshape(len(found.conditions), -1, *found.images.shape[1:])
        count = each.shape[1]
        rows = [
            Line(
                x,
                f"{count} examples with {name}, from the noise of the rows above and below.",
                name.replace("=", " "),
                "",
            )
            for name, x in zip(found.conditions, each, strict=True)
        ]
        return self.strips(rows, ("first", "last"))

    def paths(self, found: tuple[Interpolation, ...], classes: tuple[str, ...]) -> tuple[Panel, ...]:
        """For each pair of ends, a strip for each way."""
        rows = []
        for pair, (start, end) in enumerate(found[0].ids):
            for path in found:
                words = f"Path from example {start} to example {end}, {path.mode}, in {len(path.weights)} steps."
                labels = [] if path.labels is None else [label_name(int(label), classes) for label in path.labels[pair]]
                short = bool(labels) and all(0 < len(label) < 6 for label in labels)
                names = (labels if short else []) if self.images else [start, end]
                note = " → ".join(names)
                rows.append(Line(path.images[pair], words, path.mode, note))
        return self.strips(rows, ("start", "end"))

    def sweep(self, found: Traversal) -> tuple[Panel, ...]:
        """A strip for each dimension."""
        low, high = (f"{float(found.values[end]):+g}".replace("-", "−") for end in (0, -1))
        rows = []
        for row, dimension in enumerate(found.dimensions):
            words = f"Latent dimension {dimension} from {low} to {high} standard deviations."
            note = f"{found.kl[row]:.2f} nats" if found.kl is not None else ""
            rows.append(Line(found.images[row], words, f"z {dimension}", note))
        return self.strips(rows, (low, high))

    def strips(self, rows: list[Line], ends: tuple[str, str]) -> tuple[Panel, ...]:
        """A picture for each row of images; or one chart with a heat map for each, its steps one below the other."""
        if self.images:
            return tuple(
                image_panel(self.sheet(row.x, len(row.x), WIDE), row.alt, STRIP, row.label, row.note) for row in rows
            )
        maps = [Strip(f"{row.label}  ({row.note})" if row.note else row.label, row.x) for row in rows]
        chart = vectors.heats(maps, self.spec, THEMED, width=LINES, line=0.08, ends=ends)
        return (chart_panel(chart, " ".join(["Heat maps.", *(row.alt for row in rows)])),)
