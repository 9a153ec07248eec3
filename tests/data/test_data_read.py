"""Whatever is in hand → rows, as the training data was brought into shape."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from data_makers import picture
from PIL import Image

import vaekit.data
from vaekit.data import detect, from_arrays, read
from vaekit.data.dataset import Preparation, Rows
from vaekit.data.digits import Digits
from vaekit.data.images import Images
from vaekit.errors import DataError

Folder = Callable[..., Path]


def everything(rows: Rows) -> torch.Tensor:
    return rows.gather(torch.arange(len(rows))).x


def test_a_folder_is_read_as_the_training_folder_was(folder: Folder) -> None:
    data = Images(str(folder(20, classes=("cat", "dog"))), size=(10, 12), fit="pad").load()
    new = folder(6, 31, 17, classes=("dog", "yak"), name="new")
    rows = read(new, data.preparation, data.spec)
    assert list(rows.ids) == ["dog/000.png", "dog/002.png", "dog/004.png", "yak/001.png", "yak/003.png", "yak/005.png"]
    assert rows.labels.tolist() == [1] * 3 + [-1] * 3
    single = read([Image.open(new / name) for name in rows.ids], data.preparation, data.spec)
    assert torch.equal(everything(rows), everything(single))
    assert everything(rows).shape == (6, 3, 10, 12)


def test_one_file_and_one_image(folder: Folder) -> None:
    data = Images(str(folder(20))).load()
    path = folder(20) / "003.png"
    for what in (path, str(path), Image.open(path), [Image.open(path)]):
        rows = read(what, data.preparation, data.spec)
        assert torch.equal(everything(rows)[0], torch.from_numpy(np.asarray(picture(3)).transpose(2, 0, 1).copy()))
    assert list(read(path, data.preparation, data.spec).ids) == ["003.png"]


def test_images_in_hand_stay_as_they_are(tmp_path: Path) -> None:
    picture(0, 400, 500).save(tmp_path / "a.jpg")
    with Image.open(tmp_path / "a.jpg") as image:
        assert read(image, Preparation((3, 20, 24), levels=256), from_arrays([picture(0)], validation=0, test=0).spec)
        assert image.size == (500, 400)


def test_arrays_and_tensors_in_any_layout() -> None:
    data = Digits().load()
    rows = data.test.select(torch.arange(5))
    x = everything(rows)
    for what in (x, x.numpy(), x.squeeze(1), x.permute(0, 2, 3, 1), x.flatten(1), x.double(), x / 16, list(x), rows):
        assert torch.equal(everything(read(what, data.preparation, data.spec)), x)
    assert everything(read(x[0], data.preparation, data.spec)).shape == (1, 1, 8, 8)
    assert everything(read(x[0].flatten(), data.preparation, data.spec).select(torch.tensor([0]))).shape == (1, 1, 8, 8)


def test_images_for_a_run_with_fewer_levels() -> None:
    data = Digits().load()
    drawn = (everything(data.test)[:4].squeeze(1).double() * 255 / 16).round().to(torch.uint8)
    rows = read([Image.fromarray(x.numpy()) for x in drawn], data.preparation, data.spec)
    assert torch.equal(everything(rows), everything(data.test)[:4])


def test_array_files(tmp_path: Path) -> None:
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    data = from_arrays(x, np.array(["a", "b"] * 10))
    np.savez(tmp_path / "new.npz", x=x[:3], labels=np.array(["b", "a", "c"]))
    rows = read(tmp_path / "new.npz", data.preparation, data.spec)
    assert torch.equal(everything(rows), torch.from_numpy(x[:3]))
    assert (list(rows.ids), rows.labels.tolist()) == (["0", "1", "2"], [1, 0, -1])


def test_lists_of_pil_images_train() -> None:
    data = from_arrays([picture(i) for i in range(12)], validation=2, test=2)
    assert (data.spec.shape, data.spec.levels, len(data.train)) == ((3, 20, 24), 256, 8)
    assert from_arrays([picture(i, channels=1) for i in range(12)]).spec.shape == (1, 20, 24)
    with pytest.raises(DataError, match="PIL images: expected one size, got 2 sizes"):
        from_arrays([picture(0), picture(0, 30, 30)])


def test_from_arrays_takes_everything_for_training() -> None:
    data = from_arrays(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), validation=0, test=0)
    assert [len(rows) for rows in (data.train, data.validation, data.test)] == [5, 0, 0]
    assert list(data.validation.batches(torch.arange(0), 4)) == []
    assert data.train.gather(torch.tensor([1])).x.dtype == torch.float32


@pytest.mark.parametrize(
    ("what", "message"),
    [
        (np.zeros((2, 3, 9, 9), np.uint8), r"expected data of shape \(n, 1, 8, 8\), got \(2, 3, 9, 9\)"),
        (np.full((2, 8, 8), 17), "expected the levels 0 to 16, got values from 17 to 17"),
        (np.full((2, 8, 8), 0.3), "expected the levels 0 to 16, got numbers between them"),
        (np.full((2, 8, 8), np.nan), "NaN or infinity in 2 of 2 rows"),
        (np.zeros((0, 8, 8)), "at least one row"),
        ([], "at least one row"),
        (["a"], "expected a dtype of numbers"),
        ([None], "expected a dtype of numbers"),
        ("nowhere", "expected data at nowhere, but there is nothing"),
        (
            from_arrays(np.zeros((20, 3)), name="r").train,
            r"rows of shape \(1, 8, 8\) with 17 levels.*got \(3,\) with cont",
        ),
        (
            [Image.fromarray(np.zeros((9, 9), np.float32))],
            "PIL image 0: expected readable 8- or 16-bit pixels, got: floating",
        ),
    ],
)
def test_what_does_not_fit(what: object, message: str) -> None:
    data = Digits().load()
    with pytest.raises(DataError, match=message):
        read(what, data.preparation, data.spec)  # type: ignore[arg-type]


@pytest.mark.parametrize("preparation", [Preparation((4,)), Preparation((1, 20, 24)), Preparation((5, 20, 24), 256)])
def test_images_for_runs_on_other_data(folder: Folder, preparation: Preparation) -> None:
    spec = from_arrays(np.zeros((20, 4))).spec
    for what in (folder(3), picture(0)):
        with pytest.raises(DataError, match="got images, but the run was trained on arrays of shape"):
            read(what, preparation, spec)


def test_remarks_on_new_data_are_warnings(folder: Folder) -> None:
    data = Images(str(folder(20))).load()
    new = folder(10, name="new")
    (new / "004.png").write_bytes(b"")
    with pytest.warns(UserWarning, match="1 of 10 image files cannot be read"):
        assert len(read(new, data.preparation, data.spec)) == 9
    deep = Image.fromarray(np.zeros((20, 24), np.uint16))
    with pytest.warns(UserWarning, match="16 bits a channel") as caught:
        read([deep, deep], data.preparation, data.spec)
    assert len(caught) == 1


def test_detect_a_folder_of_images(folder: Folder) -> None:
    root = folder(3)
    assert detect(root) == ("images", {"path": str(root)})
    with pytest.raises(DataError, match="fix: give the folder it lies in"):
        detect(root / "000.png")


def test_examples_in_docstrings() -> None:
    for module in pkgutil.iter_modules(vaekit.data.__path__, "vaekit.data."):
        result = doctest.testmod(importlib.import_module(module.name), optionflags=doctest.ELLIPSIS)
        assert result.failed == 0, module.name
