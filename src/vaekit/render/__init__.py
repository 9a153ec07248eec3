"""Tensors to pictures: grids, labelled strips, animations, single files; heat maps and lines for data that is no image.

Grids need Pillow alone; what is drawn for vectors needs matplotlib (the extra `report`), which is loaded when it is needed.
"""

from vaekit.render.animation import animate, frames
from vaekit.render.files import save, save_each, write
from vaekit.render.grid import Strip, beside, grid, strips
from vaekit.render.heat import as_colour, overlay
from vaekit.render.pixels import Window, drawable, to_image, to_pixels
from vaekit.render.sheet import pairs, picture, rows

__all__ = [
    "Strip",
    "Window",
    "animate",
    "as_colour",
    "beside",
    "drawable",
    "frames",
    "grid",
    "overlay",
    "pairs",
    "picture",
    "rows",
    "save",
    "save_each",
    "strips",
    "to_image",
    "to_pixels",
    "write",
]
