"""Array files: keys, pairs of files, names, and files that are refused or broken."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from vaekit.data.array import Array
from vaekit.data.read import detect
from vaekit.errors import DataError


def images(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (n, 9, 11, 3), dtype=np.uint8)


@pytest.mark.parametrize("key", ["images", "x", "X", "data", "anything"])
def test_keys(tmp_path: Path, key: str) -> None:
    np.savez(tmp_path / "flowers.npz", **{key: images(20)}, labels=np.arange(20) % 4)
    data = Array(str(tmp_path / "flowers.npz")).load() if key != "anything" else None
    if data is None:
        with pytest.raises(DataError, match="expected one of the keys images, x, X, data, got anything, labels"):
            Array(str(tmp_path / "flowers.npz")).load()
        return
    assert (data.name, data.spec.shape, data.spec.levels, len(data.train)) == ("flowers", (3, 9, 11), 256, 16)
    assert data.spec.classes == ("0", "1", "2", "3")
    assert data.train.labels is not None


def test_every_row_is_in_one_split_with_its_label(tmp_path: Path) -> None:
    x, y = images(20), np.arange(20) % 4
    np.savez(tmp_path / "flowers.npz", images=x, labels=y)
    data = Array(str(tmp_path / "flowers.npz")).load()
    seen = []
    for rows in (data.train, data.validation, data.test):
        batch = rows.gather(torch.arange(len(rows)))
        numbers = [int(name) for name in rows.ids]
        assert torch.equal(batch.x, torch.from_numpy(x[numbers].transpose(0, 3, 1, 2)))
        assert rows.labels.tolist() == y[numbers].tolist()
        seen += numbers
    assert sorted(seen) == list(range(20))


def test_a_plain_array_file(tmp_path: Path) -> None:
    np.save(tmp_path / "rows.npy", np.random.default_rng(0).normal(size=(30, 5)))
    data = Array(str(tmp_path / "rows.npy"), validation=5, test=5).load()
    assert (data.name, data.spec.shape, data.spec.levels, len(data.spec.mean)) == ("rows", (5,), None, 5)


def test_a_folder_with_train_and_test(tmp_path: Path) -> None:
    np.savez(tmp_path / "birds_train.npz", images=images(20), labels=np.array(["tit", "owl"] * 10))
    np.savez(tmp_path / "birds_test.npz", images=images(7, seed=1), labels=np.array(["owl"] * 7))
    data = Array(str(tmp_path), validation=4).load()
    assert (data.name, len(data.train), len(data.validation), len(data.test)) == ("birds_train", 16, 4, 7)
    assert data.test.labels.tolist() == [0] * 7
    assert torch.equal(data.test.gather(torch.arange(7)).x, torch.from_numpy(images(7, 1).transpose(0, 3, 1, 2)))
    np.savez(tmp_path / "birds_val.npz", images=images(5, seed=2))
    assert len(Array(str(tmp_path)).load().validation) == 5


def test_the_test_file_is_read_as_the_training_file(tmp_path: Path) -> None:
    np.save(tmp_path / "a_train.npy", images(20)[..., 0])
    np.save(tmp_path / "a_test.npy", np.zeros((3, 9, 11), np.uint8))
    assert Array(str(tmp_path)).load().test.spec.levels == 256
    np.save(tmp_path / "a_test.npy", np.zeros((3, 9, 12), np.uint8))
    with pytest.raises(DataError, match=r"a_test.npy: expected data of shape \(n, 1, 9, 11\), got \(3, 9, 12\)"):
        Array(str(tmp_path)).load()


def test_limit(tmp_path: Path) -> None:
    np.save(tmp_path / "a_train.npy", images(20))
    np.save(tmp_path / "a_test.npy", images(20))
    data = Array(str(tmp_path), limit=10, validation=3).load()
    assert (len(data.train), len(data.validation), len(data.test)) == (7, 3, 10)


def test_a_subset_is_never_called_as_the_published_set(tmp_path: Path) -> None:
    for name in ("cifar10.npz", "fashion_mnist.npz", "MNIST.npz"):
        np.savez(tmp_path / name, x=images(20))
        assert Array(str(tmp_path / name)).load().name == name


def test_fingerprint_follows_content_and_split(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, images(20))
    first = Array(str(path)).load().fingerprint
    os.utime(path, (1, 1))
    assert Array(str(path)).load().fingerprint == first
    assert Array(str(path), seed=1).load().fingerprint != first
    np.save(path, images(20, seed=1))
    assert Array(str(path)).load().fingerprint != first


def write(path: Path, kind: str) -> None:
    if kind == "objects":
        np.save(path, np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("1,2,3")
    elif kind == "cut":
        np.save(path, images(20))
        path.write_bytes(path.read_bytes()[:400])
    elif kind == "no rows":
        np.save(path, images(0))
    elif kind == "short":
        np.save(path, images(2))


@pytest.mark.parametrize("kind", ["objects", "empty", "text", "cut", "no rows", "short"])
def test_files_that_are_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "given.npy"
    write(path, kind)
    with pytest.raises(DataError, match=r"expected.*got|expected.*shape") as error:
        Array(str(path)).load()
    assert "given" in str(error.value)
    assert "fix:" in str(error.value)


def test_objects_in_an_archive_are_never_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "given.npz", images=np.array([{}], dtype=object))
    with pytest.raises(DataError, match="never unpickled"):
        Array(str(tmp_path / "given.npz")).load()


def test_a_broken_archive(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "given.npz", images=images(20))
    content = bytearray((tmp_path / "given.npz").read_bytes())
    content[500:600] = bytes(100)
    (tmp_path / "given.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"given.npz: expected a readable"):
        Array(str(tmp_path / "given.npz")).load()


def test_labels_of_another_length(tmp_path: Path) -> None:
    np.savez(tmp_path / "given.npz", images=images(20), labels=np.arange(19))
    with pytest.raises(DataError, match=r"given.npz: labels: expected one label for each of the 20 rows"):
        Array(str(tmp_path / "given.npz")).load()


def test_missing_files_and_near_names(tmp_path: Path) -> None:
    np.save(tmp_path / "flowers.npy", images(20))
    with pytest.raises(DataError, match=r"nothing \(did you mean '.*flowers.npy'\?\)"):
        Array(str(tmp_path / "flowesr.npy")).load()
    with pytest.raises(DataError, match=r"expected one .npz or .npy file with 'train'"):
        Array(str(tmp_path)).load()
    with pytest.raises(DataError, match="cannot be opened again"):
        Array(None).load()


def test_detect(tmp_path: Path) -> None:
    np.save(tmp_path / "a_train.npy", images(20))
    np.save(tmp_path / "a_test.npy", images(20))
    assert detect(tmp_path) == ("array", {"path": str(tmp_path)})
    assert detect(tmp_path / "a_test.npy") == ("array", {"path": str(tmp_path / "a_test.npy")})
    (tmp_path / "a_test.npy").unlink()
    assert detect(tmp_path)[0] == "images"
    (tmp_path / "notes.txt").write_text("1")
    with pytest.raises(DataError, match=r"notes.txt: expected a folder of images"):
        detect(tmp_path / "notes.txt")
