"""Published sets: where they are found, what is refused, downloads, and names that are never used for other data."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import pickle
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from data_makers import idx_bytes, write_idx_set

from vaekit.config import members
from vaekit.data import cifar10 as cifar10_module
from vaekit.data import mnist as mnist_module
from vaekit.data.cifar10 import CIFAR10, Cifar10
from vaekit.data.cifar_files import BINARY, PYTHON
from vaekit.data.digits import Digits
from vaekit.data.fashion_mnist import FashionMnist
from vaekit.data.idx import FILES, read_idx
from vaekit.data.mnist import MNIST, Mnist
from vaekit.data.published import Published
from vaekit.errors import DataError, MissingExtraError

REAL = Path(os.environ.get("VAEKIT_DATA", "nowhere"))  # where the original files lie, if they do


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A small published set, and an empty cache."""
    mean = read_idx(write_idx_set(tmp_path / "like", zipped=False) / FILES[0]).mean() / 255
    published = replace(MNIST, rows=(40, 15), mean=(mean,), downloads=(("http://127.0.0.1:9/file.gz", "md5:0"),))
    monkeypatch.setattr(mnist_module, "MNIST", published)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache" / name)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("layout", ["mnist", "mnist/raw", "MNIST/raw", "MNIST", ""])
def test_layouts(tmp_path: Path, layout: str, zipped: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx_set(tmp_path / "data" / layout, zipped=zipped)
    data = Mnist(str(tmp_path / "data"), validation=10).load()
    assert (data.name, data.spec.shape, data.spec.levels, data.remarks) == ("mnist", (1, 9, 11), 256, ())
    assert [len(rows) for rows in (data.train, data.validation, data.test)] == [30, 10, 15]
    assert torch.bincount(data.validation.labels).tolist() == [1] * 10
    monkeypatch.setenv("VAEKIT_DATA", str(tmp_path / "data"))
    assert Mnist(validation=10).load().fingerprint == data.fingerprint


def test_the_argument_comes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_idx_set(tmp_path / "a" / "mnist")
    write_idx_set(tmp_path / "b" / "mnist", train=50, level=100)
    monkeypatch.setenv("VAEKIT_DATA", str(tmp_path / "b"))
    assert Mnist(str(tmp_path / "a"), validation=1).load().name == "mnist"
    data = Mnist(validation=1).load()
    assert (data.name, len(data.train)) == ("mnist-variant", 49)
    assert "not MNIST as published" in data.remarks[0]


def test_another_set_in_the_directory_itself_is_passed_over(tmp_path: Path) -> None:
    write_idx_set(tmp_path / "data", level=100)
    with pytest.raises(DataError, match="expected its files on this machine or a way to download them"):
        Mnist(str(tmp_path / "data")).load()


def test_test_rows_keep_their_order_and_are_never_trained_on(tmp_path: Path) -> None:
    write_idx_set(tmp_path / "mnist")
    data = Mnist(str(tmp_path), validation=0.25).load()
    wanted = read_idx(tmp_path / "mnist" / f"{FILES[2]}.gz")
    assert torch.equal(data.test.gather(torch.arange(15)).x.squeeze(1), torch.from_numpy(wanted.copy()))
    assert sorted(map(int, (*data.train.ids, *data.validation.ids))) == list(range(40))


def test_incomplete_files(tmp_path: Path) -> None:
    write_idx_set(tmp_path / "mnist")
    (tmp_path / "mnist" / f"{FILES[3]}.gz").unlink()
    with pytest.raises(DataError, match=f"mnist: expected all files of MNIST, but {FILES[3]} is missing"):
        Mnist(str(tmp_path)).load()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "starts with"),
        (b"\x1f\x8bgarbage", "expected a readable IDX file"),
        (gzip.compress(idx_bytes(np.zeros((3, 9, 9), np.uint8)), mtime=0)[:-9], "expected a readable IDX file"),
        (idx_bytes(np.zeros((3, 9, 9), np.uint8))[:-1], "expected 243 bytes of values, as its header says, got 242"),
        (b"\0\0\x0d\x03", "IDX file of unsigned bytes"),
        (idx_bytes(np.zeros((40, 9), np.uint8)), "expected images"),
        (idx_bytes(np.zeros((39, 9, 9), np.uint8)), "expected images .* and n labels"),
    ],
    # Bytes as identifiers would hold the time of their compression, and two workers would collect two tests.
    ids=["empty", "garbage", "cut-gzip", "cut-values", "floats", "flat", "labels"],
)
def test_broken_files(tmp_path: Path, content: bytes, message: str) -> None:
    write_idx_set(tmp_path / "mnist", zipped=False)
    (tmp_path / "mnist" / FILES[0]).write_bytes(content)
    with pytest.raises(DataError, match=message) as error:
        Mnist(str(tmp_path)).load()
    assert str(tmp_path) in str(error.value)


def test_a_data_directory_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="`data_dir`: expected a folder, but there is none"):
        Mnist(str(tmp_path / "nowhere")).load()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """A server of files on this machine: its address and its folder."""
    folder = tmp_path / "served"
    folder.mkdir()
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *given: None)
    running = ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(folder)))
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}/", folder
    running.shutdown()
    thread.join()
    running.server_close()


def served(published: Published, url: str, folder: Path) -> Published:
    files = sorted(file for file in folder.iterdir() if file.is_file())
    return replace(
        published,
        downloads=tuple((url + file.name, f"md5:{hashlib.md5(file.read_bytes()).hexdigest()}") for file in files),
    )


def test_download_once_with_a_checksum(server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder = server
    write_idx_set(folder)
    monkeypatch.setattr(mnist_module, "MNIST", served(mnist_module.MNIST, url, folder))
    first = Mnist(validation=5).load()
    for file in folder.iterdir():
        file.unlink()  # so that a second download would fail
    assert (first.name, Mnist(validation=5).load().fingerprint) == ("mnist", first.fingerprint)


def test_a_wrong_checksum_is_refused(server: tuple[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    url, folder = server
    write_idx_set(folder)
    published = served(mnist_module.MNIST, url, folder)
    write_idx_set(folder, level=90)
    monkeypatch.setattr(mnist_module, "MNIST", published)
    with pytest.raises(DataError, match="MNIST: expected its files on this machine or a way to download them"):
        Mnist().load()


def test_no_network_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VAEKIT_DATA", str(tmp_path))
    for folder in ("mnist", "empty"):
        (tmp_path / folder).mkdir()
    np.save(tmp_path / "mnist" / "part.npy", np.zeros(3))
    with pytest.raises(DataError) as error:
        Mnist(str(tmp_path / "empty")).load()
    message = str(error.value)
    for part in (str(tmp_path / "empty" / "mnist"), str(tmp_path / "mnist"), FILES[0], "VAEKIT_DATA=DIR", "--data-dir"):
        assert part in message
    assert f"--data {tmp_path / 'mnist'}" in message


def test_without_the_downloader(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "pooch", None)
    with pytest.raises(MissingExtraError, match=r"MNIST is not on this machine(.|\n)*vaekit\[download\]"):
        Mnist().load()


# --- CIFAR-10 --------------------------------------------------------------------------------------------------------


def cifar_batches(rows: int = 6) -> list[tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(0)
    return [
        (random.integers(0, 256, (rows, 3072), dtype=np.uint8), random.integers(0, 10, rows).astype(np.uint8))
        for _ in range(6)
    ]


def write_cifar(place: Path, layout: str, protocol: int = 2) -> Path:
    place.mkdir(parents=True)
    names = BINARY if layout == "bin" else PYTHON
    for name, (pixels, labels) in zip(names, cifar_batches(), strict=True):
        if layout == "bin":
            content = np.concatenate([labels[:, None], pixels], 1).tobytes()
        else:
            content = pickle.dumps({b"data": pixels, b"labels": labels.tolist(), b"filenames": [b"a"]}, protocol)
        (place / name).write_bytes(content)
    return place


@pytest.fixture
def small_cifar(monkeypatch: pytest.MonkeyPatch) -> Published:
    pixels = np.concatenate([batch[0] for batch in cifar_batches()[:5]]).reshape(-1, 3, 1024)
    published = replace(CIFAR10, rows=(30, 6), mean=tuple(pixels.mean((0, 2)) / 255), downloads=())
    monkeypatch.setattr(cifar10_module, "CIFAR10", published)
    return published


@pytest.mark.parametrize(("layout", "protocol"), [("bin", 0), ("py", 2), ("py", 4)])
@pytest.mark.parametrize("below", ["cifar10/cifar-10-batches-{}", "cifar-10-batches-{}", "cifar10", ""])
@pytest.mark.usefixtures("small_cifar")
def test_cifar_layouts(tmp_path: Path, layout: str, protocol: int, below: str) -> None:
    write_cifar(tmp_path / "data" / below.format(layout) / ".", layout, protocol)
    data = Cifar10(str(tmp_path / "data"), validation=5).load()
    assert (data.name, data.spec.shape, data.spec.classes[0]) == ("cifar10", (3, 32, 32), "airplane")
    pixels, labels = cifar_batches()[5]
    assert torch.equal(data.test.gather(torch.arange(6)).x, torch.from_numpy(pixels.reshape(-1, 3, 32, 32)))
    assert data.test.labels.tolist() == labels.tolist()


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return Path.touch, (Path("executed"),)  # type: ignore[return-value]


@pytest.mark.usefixtures("small_cifar")
def test_pickles_that_call_anything_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    place = write_cifar(tmp_path / "data" / "cifar-10-batches-py", "py")
    (place / PYTHON[2]).write_bytes(pickle.dumps({b"data": Evil(), b"labels": []}))
    with pytest.raises(DataError, match=r"asks for .*: refused"):
        Cifar10(str(tmp_path / "data")).load()
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("content", [b"", b"garbage", pickle.dumps([1]), pickle.dumps({b"data": b"", b"labels": [1]})])
@pytest.mark.usefixtures("small_cifar")
def test_broken_cifar_files(tmp_path: Path, content: bytes) -> None:
    for layout, names in (("py", PYTHON), ("bin", BINARY)):
        place = write_cifar(tmp_path / layout / f"cifar-10-batches-{layout}", layout)
        (place / names[1]).write_bytes(content)
        with pytest.raises(DataError, match=f"{names[1]}: expected"):
            Cifar10(str(tmp_path / layout)).load()


def test_cifar_download_is_unpacked(
    server: tuple[str, Path], small_cifar: Published, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, folder = server
    place = write_cifar(tmp_path / "pack" / "cifar-10-batches-bin", "bin")
    with tarfile.open(folder / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.add(place, "cifar-10-batches-bin")
        archive.addfile(tarfile.TarInfo("cifar-10-batches-bin/readme.html"), io.BytesIO(b""))
    monkeypatch.setattr(cifar10_module, "CIFAR10", served(small_cifar, url, folder))
    assert Cifar10(validation=5).load().name == "cifar10"


# --- what ships, and the real files ----------------------------------------------------------------------------------


def test_digits() -> None:
    data = Digits().load()
    x = torch.cat([rows.gather(torch.arange(len(rows))).x for rows in (data.train, data.validation, data.test)])
    assert (x.shape, x.dtype, int(x.max()), data.spec.levels) == ((1797, 1, 8, 8), torch.uint8, 16, 17)
    assert sorted(map(int, (*data.train.ids, *data.validation.ids, *data.test.ids))) == list(range(1797))
    assert torch.bincount(data.test.labels).min() > 30
    assert data.fingerprint == Digits().load().fingerprint != Digits(seed=1).load().fingerprint


def test_the_folder_is_the_registry() -> None:
    assert set(members("data")) >= {"array", "cifar10", "digits", "fashion-mnist", "images", "mnist"}
    assert not {"dataset", "sources", "read", "source"} & set(members("data"))


@pytest.mark.skipif(not (REAL / "mnist").is_dir(), reason="VAEKIT_DATA has no mnist")
def test_the_real_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist_module, "MNIST", MNIST)
    data = Mnist(str(REAL)).load()
    assert (data.name, len(data.train), len(data.validation), len(data.test)) == ("mnist", 57_000, 3_000, 10_000)
    assert data.test.labels[:6].tolist() == [7, 2, 1, 0, 4, 1]


@pytest.mark.skipif(not (REAL / "fashion-mnist").is_dir(), reason="VAEKIT_DATA has no fashion-mnist")
def test_the_real_fashion_mnist() -> None:
    data = FashionMnist(str(REAL), limit=600, validation=100).load()
    assert (data.name, data.remarks, len(data.train), len(data.test)) == ("fashion-mnist", (), 500, 600)
