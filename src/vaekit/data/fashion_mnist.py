"""Fashion-MNIST."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge

from vaekit.data.dataset import Dataset
from vaekit.data.idx import FILES, read_idx_set
from vaekit.data.published import Published, load_published
from vaekit.data.sources import Source
from vaekit.data.splits import Shares

URL = "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"
FOLDERS = ("fashion-mnist", "fashion_mnist", "fashion-mnist/raw", "FashionMNIST/raw", "FashionMNIST", "")
FASHION_MNIST = Published(
    name="fashion-mnist",
    title="Fashion-MNIST",
    classes=("T-shirt", "trousers", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot"),
    rows=(60_000, 10_000),
    mean=(0.2860,),
    layouts=tuple((folder, FILES) for folder in FOLDERS),
    downloads=(
        (f"{URL}{FILES[0]}.gz", "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        (f"{URL}{FILES[1]}.gz", "md5:25c81989df183df01b3e8a0aad5dffbe"),
        (f"{URL}{FILES[2]}.gz", "md5:bef4ecab320f06d8554ea6380940ec79"),
        (f"{URL}{FILES[3]}.gz", "md5:bb300cfdad3c16e7a12a480ee83cd310"),
    ),
)


class FashionMnist(Source):
    """Pictures of clothes: 60,000 training and 10,000 test images, 28×28, 256 grey levels, ten classes.

    The four IDX files, plain or gzipped, are looked for in DIR/fashion-mnist, DIR/FashionMNIST/raw and DIR (among
    others), where DIR is `data_dir`, then the environment variable VAEKIT_DATA; else they are downloaded once.

    Arguments:
        data_dir: where to look first.
        validation: taken from the training images, classes in proportion: a fraction below 1, or a count.
        seed: of that choice.
        limit: at most so many training (validation included) and test images, for a quick trial.
        context: entries that condition the model: `label`.

    Raises `DataError` where the files are incomplete or broken, or cannot be found or downloaded.

    References: Xiao, Rasul, Vollgraf (2017), Fashion-MNIST: a novel image dataset for benchmarking machine learning
    algorithms.
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
        return load_published(FASHION_MNIST, read_idx_set, self.data_dir, self.shares, self.context)
