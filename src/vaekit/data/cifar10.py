"""CIFAR-10."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from vaekit.data.cifar_files import BINARY, PYTHON, read_cifar_set
from vaekit.data.dataset import Dataset
from vaekit.data.published import Published, load_published
from vaekit.data.sources import Source
from vaekit.data.splits import Shares

CIFAR10 = Published(
    name="cifar10",
    title="CIFAR-10",
    classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
    rows=(50_000, 10_000),
    mean=(0.4914, 0.4822, 0.4465),
    layouts=tuple(
        (folder, names)
        for below, names in (("cifar-10-batches-bin", BINARY), ("cifar-10-batches-py", PYTHON))
        for folder in (f"cifar10/{below}", f"CIFAR10/{below}", below, "cifar10", "")
    ),
    downloads=(("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz", "md5:c32a1d4ab5d03f1284b67883e8d87530"),),
)


class Cifar10(Source):
    """Photographs: 50,000 training and 10,000 test images, RGB 32×32, 256 levels, ten classes.

    The six batch files of the binary or of the Python layout (whose pickles are read without executing anything) are
    looked for in DIR/cifar10/cifar-10-batches-bin or -py, DIR/cifar-10-batches-bin or -py, DIR/cifar10 and DIR, where
    DIR is `data_dir`, then the environment variable VAEKIT_DATA; else the binary archive is downloaded once. A subset
    as `.npz` files is read by the source `array`, under its file's name.

    Arguments:
        data_dir: where to look first.
        validation: taken from the training images, classes in proportion: a fraction below 1, or a count.
        seed: of that choice.
        limit: at most so many training (validation included) and test images, for a quick trial.
        context: entries that condition the model: `label`.

    Raises `DataError` where the files are incomplete or broken, or cannot be found or downloaded.

    References: Krizhevsky (2009), Learning multiple layers of features from tiny images.
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
        return load_published(CIFAR10, read_cifar_set, self.data_dir, self.shares, self.context)
