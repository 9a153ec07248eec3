"""Data: sources (one a file), what they return, and what brings new data into a run's shape."""

from vaekit.data.dataset import Dataset, Preparation, Rows
from vaekit.data.read import detect, from_arrays, read
from vaekit.data.sources import Source

__all__ = ["Dataset", "Preparation", "Rows", "Source", "detect", "from_arrays", "read"]
