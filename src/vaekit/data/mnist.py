"""MNIST."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from vaekit.data.dataset import Dataset
from vaekit.data.idx import FILES, read_idx_set
from vaekit.data.published import Published, load_published
from vaekit.data.sources import Source
from vaekit.data.splits import Shares

URL = "https://ossci-datasets.s3.amazonaws.com/mnist/"
MNIST = Published(
    name="mnist",
    title="MNIST",
    classes=tuple("0123456789"),
    rows=(60_000, 10_000),
    mean=(0.1307,),
    layouts=tuple((folder, FILES) for folder in ("mnist", "mnist/raw", "MNIST/raw", "MNIST", "")),
    downloads=(
        (f"{URL}{FILES[0]}.gz", "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        (f"{URL}{FILES[1]}.gz", "md5:d53e105ee54ea40749a09fcbcd1e9432"),
        (f"{URL}{FILES[2]}.gz", "md5:9fb629c4189551a2d022fa330f9573f3"),
        (f"{URL}{FILES[3]}.gz", "md5:ec29112dd5afa0611ce80d1b7f02629c"),
    ),
)


class Mnist(Source):
    """Handwritten digits: 60,000 training and 10,000 test images, 28×28, 256 grey levels, labels 0 to 9.

    The four IDX files, plain or gzipped, are looked for in DIR/mnist, DIR/mnist/raw, DIR/MNIST/raw, DIR/MNIST and DIR,
    where DIR is `data_dir`, then the environment variable VAEKIT_DATA; else they are downloaded once.

    Arguments:
        data_dir: where to look first.
        validation: taken from the training images, classes in proportion: a fraction below 1, or a count.
        seed: of that choice.
        limit: at most so many training (validation included) and test images, for a quick trial.
        context: entries that condition the model: `label`.

    Raises `DataError` where the files are incomplete or broken, or cannot be found or downloaded.

    References: LeCun, Bottou, Bengio, Haffner (1998), Gradient-based learning applied to document recognition.
    """

    def __init__(
        self,
        data_dir: str | None = None,
        validation: Annotated[float, Ge(0)] = 0.05,
        seed: Annotated[int, Ge(0)] = 0,
        limit: Annotated[int, Ge(1)] | None = None,
        context: tuple[str, ...] = (),
    ) -> None:
        self.data_dir = data_dir
        self.shares = Shares(validation, 0, seed, limit)
        self.context = context

    def load(self) -> Dataset:
        return load_published(MNIST, read_idx_set, self.data_dir, self.shares, self.context)
