"""Folders of images: sizes, channels, classes, splits, broken files; in memory or streamed, the rows are the same."""

from __future__ import annotations

import os
import shutil
import threading
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from data_makers import picture
from PIL import Image

from vaekit.data import folder as folders
from vaekit.data.dataset import Dataset, Rows
from vaekit.data.images import Images
from vaekit.data.resident import ResidentRows
from vaekit.data.streamed import StreamedRows
from vaekit.errors import DataError

Folder = Callable[..., Path]


def load(root: Path, **options: object) -> Dataset:
    return Images(str(root), **options).load()  # type: ignore[arg-type]


def everything(rows: Rows) -> torch.Tensor:
    return rows.gather(torch.arange(len(rows))).x


def test_a_folder(folder: Folder) -> None:
    data = load(folder(20))
    assert (data.name, data.spec.shape, data.spec.levels, data.train.labels) == ("pictures", (3, 20, 24), 256, None)
    assert [len(rows) for rows in (data.train, data.validation, data.test)] == [16, 2, 2]
    assert data.remarks == ()
    for rows in (data.train, data.validation, data.test):
        for i, name in enumerate(rows.ids):
            wanted = np.asarray(picture(int(name[:3]))).transpose(2, 0, 1)
            assert np.array_equal(everything(rows)[i], wanted)


def test_a_folder_is_never_called_as_a_published_set(folder: Folder) -> None:
    assert load(folder(10, name="cifar10")).name == "cifar10-folder"


def test_splits_are_disjoint_and_reproducible(folder: Folder) -> None:
    root = folder(30)
    first, again, other = load(root), load(root), load(root, seed=1)
    names = [name for rows in (first.train, first.validation, first.test) for name in rows.ids]
    assert sorted(names) == sorted(file.name for file in root.iterdir())
    assert (first.fingerprint, list(first.test.ids)) == (again.fingerprint, list(again.test.ids))
    assert first.fingerprint != other.fingerprint


def test_streamed_rows_are_the_resident_rows(folder: Folder) -> None:
    root = folder(40, classes=("oak", "elm"), suffix="jpg")
    resident, streamed = load(root), load(root, memory_mb=0)
    assert resident.fingerprint == streamed.fingerprint
    for name in ("train", "validation", "test"):
        one, other = getattr(resident, name), getattr(streamed, name)
        assert isinstance(one, ResidentRows)
        assert isinstance(other, StreamedRows)
        assert list(one.ids) == list(other.ids)
        assert torch.equal(one.labels, other.labels)
        order = torch.randperm(len(one), generator=torch.Generator().manual_seed(0))
        pairs = zip(one.batches(order, 7), other.batches(order, 7), strict=True)
        assert all(torch.equal(a.x, b.x) and torch.equal(a.index, b.index) for a, b in pairs)


def test_fingerprint_follows_content_not_times(folder: Folder) -> None:
    root = folder(12)
    first = load(root).fingerprint
    os.utime(root / "003.png", (1, 1))
    assert load(root).fingerprint == first
    (root / "003.png").write_bytes((root / "004.png").read_bytes())
    assert load(root).fingerprint != first


def test_sub_folders_are_classes(folder: Folder) -> None:
    data = load(folder(24, classes=("oak", "elm", "ash")))
    assert data.spec.classes == data.preparation.classes == ("ash", "elm", "oak")
    for rows in (data.train, data.validation, data.test):
        assert [data.spec.classes[i] for i in rows.labels.tolist()] == [name.split("/")[0] for name in rows.ids]
    assert torch.bincount(data.train.labels).tolist() == [7, 6, 7] or len(data.train) == 20


def test_top_folders_train_and_test_are_the_splits(folder: Folder) -> None:
    root = folder(20, classes=("cat", "dog"), name="set/train").parent
    shutil.copytree(folder(6, classes=("cat", "dog"), name="other"), root / "test")
    data = load(root, validation=4)
    assert data.spec.classes == ("cat", "dog")
    assert {name.split("/")[0] for name in data.test.ids} == {"test"}
    assert {name.split("/")[0] for name in (*data.train.ids, *data.validation.ids)} == {"train"}
    assert [len(rows) for rows in (data.train, data.validation, data.test)] == [16, 4, 6]


def test_files_beside_sub_folders_have_no_labels(folder: Folder) -> None:
    root = folder(12, classes=("cat", "dog"))
    picture(0).save(root / "loose.png")
    assert load(root).train.labels is None


def test_hidden_files_and_other_files_are_left_alone(folder: Folder) -> None:
    root = folder(12)
    (root / ".hidden.png").write_bytes(b"")
    (root / "notes.txt").write_text("notes")
    (root / "again").symlink_to(root)
    data = load(root)
    assert len(data.train) + len(data.validation) + len(data.test) == 12
    assert data.remarks == (f"{root}: files that are no images are left alone: 1",)


@pytest.mark.parametrize(
    ("height", "width", "size"),
    [(20, 24, (20, 24)), (128, 128, (64, 64)), (100, 150, (64, 96)), (64, 300, (64, 300))],
)
def test_files_of_one_size_keep_their_shape(folder: Folder, height: int, width: int, size: tuple[int, int]) -> None:
    data = load(folder(10, height, width))
    assert data.spec.shape == (3, *size)
    assert bool(data.remarks) == ((height, width) != size)


def test_mixed_sizes_become_squares_of_the_median_shorter_side(folder: Folder, tmp_path: Path) -> None:
    root = folder(11, 30, 40)
    for i in range(5):
        picture(i, 80, 50).save(root / f"tall{i}.png")
    data = load(root)
    assert data.spec.shape == (3, 30, 30)
    assert "files of 30×40 to 80×50 pixels" in data.remarks[0]
    assert "read at 30×30" in data.remarks[0]


@pytest.mark.parametrize(("size", "shape"), [(16, (3, 16, 16)), ((10, 12), (3, 10, 12)), ([1, 10, 12], (1, 10, 12))])
def test_sizes_that_are_asked_for(folder: Folder, size: object, shape: tuple[int, ...]) -> None:
    assert load(folder(10), size=size).spec.shape == shape


@pytest.mark.parametrize("size", [7, (20,), (7, 20), (2, 20, 20), (1, 3, 20, 20)])
def test_sizes_that_are_refused(folder: Folder, size: object) -> None:
    with pytest.raises(DataError, match="`size`: expected a side of at least 8"):
        load(folder(10), size=size)


def test_images_smaller_than_networks_can_take(folder: Folder) -> None:
    root = folder(10, 6, 30)
    with pytest.raises(DataError, match=r"at least 8×8 pixels, got a usual size of 6×30.*\n.*fix: set `size`"):
        load(root)
    assert load(root, size=8).spec.shape == (3, 8, 8)


def test_channels(folder: Folder) -> None:
    root = folder(10, channels=1)
    assert load(root).spec.shape[0] == 1
    picture(50, channels=1).convert("RGB").save(root / "grey_in_colour.png")
    data = load(root)
    assert data.spec.shape[0] == 1
    assert "read as grey, since 1 sampled colour files hold greys alone" in data.remarks[0]
    picture(51).save(root / "colour.png")
    assert load(root).spec.shape[0] == 3


def test_sixteen_bit_files_are_reduced_with_one_remark(folder: Folder) -> None:
    root = folder(10, channels=1)
    for i in range(3):
        x = np.asarray(picture(i, channels=1)).astype(np.uint16) * 257
        Image.fromarray(x).save(root / f"deep{i}.png")
    data = load(root, validation=0, test=0)
    assert [remark for remark in data.remarks if "16 bits" in remark] == [
        f"{root}: files with 16 bits a channel are reduced to 8 (65535 becomes 255): 3"
    ]
    x = dict(zip(data.train.ids, everything(data.train), strict=True))
    assert torch.equal(x["deep2.png"], x["002.png"])


def break_files(root: Path, count: int, keep: int) -> list[str]:
    """Keeps the first `keep` bytes of the first `count` files."""
    names = sorted(file.name for file in root.iterdir())[:count]
    for name in names:
        (root / name).write_bytes((root / name).read_bytes()[:keep])
    return names


@pytest.mark.parametrize("keep", [0, 10, 300])
@pytest.mark.parametrize("memory_mb", [0, 512])
def test_a_few_broken_files_are_named_counted_and_left_out(folder: Folder, keep: int, memory_mb: int) -> None:
    root = folder(20)
    names = break_files(root, 3, keep)
    data = load(root, memory_mb=memory_mb)
    assert [len(rows) for rows in (data.train, data.validation, data.test)] == [13, 2, 2]
    assert "3 of 20 image files cannot be read" in data.remarks[0]
    assert all(name in data.remarks[0] for name in names)


def test_many_broken_files_are_an_error(folder: Folder) -> None:
    root = folder(20)
    break_files(root, 7, 10)
    with pytest.raises(DataError, match=r"7 of 20 image files cannot be read(.|\n)*and 2 more(.|\n)*at most 20%"):
        load(root)
    break_files(root, 20, 0)
    with pytest.raises(DataError, match="20 of 20 image files cannot be read"):
        load(root)


def corrupt_inside(path: Path) -> None:
    """Damages the pixels behind an intact header and before an intact end, so that only decoding can tell."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = b"\xff" * 40
    path.write_bytes(content)


def test_files_that_break_while_they_are_decoded(folder: Folder) -> None:
    root = folder(20)
    corrupt_inside(root / "004.png")
    resident = load(root, validation=0, test=0)
    assert len(resident.train) == 19
    assert "1 of 20 image files cannot be read" in resident.remarks[0]
    streamed = load(root, validation=0, test=0, memory_mb=0)
    assert streamed.fingerprint == resident.fingerprint
    rows = streamed.train
    with pytest.warns(UserWarning, match=r"left out, as it cannot be read: .*004.png"):
        batches = list(rows.batches(torch.arange(20), 6))
    assert [len(batch) for batch in batches] == [5, 6, 6, 2]
    index = torch.cat([batch.index for batch in batches])
    assert index.tolist() == [i for i in range(20) if i != 4]
    assert torch.equal(torch.cat([batch.x for batch in batches]), everything(resident.train))
    with warnings.catch_warnings():  # said once
        warnings.simplefilter("error")
        assert len(rows.gather(torch.tensor([4, 5]))) == 1
        assert len(rows.gather(torch.tensor([4]))) == 0


def test_too_many_files_that_break_while_they_are_decoded(folder: Folder) -> None:
    root = folder(10)
    rows = load(root, validation=0, test=0, memory_mb=0).train
    for i in range(3):
        corrupt_inside(root / f"{i:03}.png")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(DataError, match="3 of 10 image files cannot be read"):
            list(rows.batches(torch.arange(10), 4))


def test_files_that_vanish_are_left_out(folder: Folder) -> None:
    root = folder(10)
    rows = load(root, validation=0, test=0, memory_mb=0).train
    (root / "002.png").unlink()
    with pytest.warns(UserWarning, match=r"002.png"):
        assert len(rows.gather(torch.arange(10))) == 9


def test_a_missing_an_empty_and_a_wrong_folder(tmp_path: Path, folder: Folder) -> None:
    folder(10)
    with pytest.raises(
        DataError, match=r"expected data at .*picture, but there is nothing \(did you mean '.*pictures'"
    ):
        load(tmp_path / "picture")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"empty: expected image files \(.bmp, .*got an empty folder"):
        load(tmp_path / "empty")
    (tmp_path / "empty" / "a.txt").write_text("")
    with pytest.raises(DataError, match=r"got 1 other files \(.txt\)"):
        load(tmp_path / "empty")
    with pytest.raises(DataError, match="expected a folder of images, got the file"):
        load(tmp_path / "pictures" / "000.png")


def test_a_folder_without_permission(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder(10)

    def refuse(path: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(folders.os, "scandir", refuse)
    with pytest.raises(DataError, match=r"expected to read .*Permission denied(.|\n)*fix: check its permissions"):
        load(root)


def test_too_few_images(folder: Folder) -> None:
    with pytest.raises(DataError, match="pictures: expected enough rows for three splits, got 2"):
        load(folder(2))


def test_limit_takes_classes_in_proportion(folder: Folder) -> None:
    data = load(folder(40, classes=("oak", "elm")), limit=20, validation=4, test=4)
    labels = torch.cat([data.train.labels, data.validation.labels, data.test.labels])
    assert torch.bincount(labels).tolist() == [10, 10]


def test_streaming_can_be_left_at_any_time(folder: Folder) -> None:
    rows = load(folder(40), memory_mb=0).train
    before = threading.active_count()
    stream = rows.batches(torch.arange(len(rows)), 2)
    first = next(stream)
    stream.close()
    assert torch.equal(first.index, torch.arange(2))
    assert threading.active_count() == before


def test_streaming_decodes_only_so_far_ahead(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = load(folder(60, 8, 9), validation=0, test=0, memory_mb=0).train
    assert isinstance(rows, StreamedRows)
    monkeypatch.setattr("vaekit.data.streamed.IN_FLIGHT", 3 * 4 * rows.spec.dimensions)
    submitted: list[int] = []
    submit = StreamedRows._submit
    monkeypatch.setattr(StreamedRows, "_submit", lambda *given: submitted.append(1) or submit(*given))
    for used, _ in enumerate(rows.batches(torch.arange(60), 4)):
        assert len(submitted) <= used + 4
    assert len(submitted) == 15


def test_selected_streamed_rows(folder: Folder) -> None:
    rows = load(folder(20, classes=("oak", "elm")), validation=0, test=0, memory_mb=0).train
    part = rows.select(torch.tensor([7, 2]))
    assert list(part.ids) == [rows.ids[7], rows.ids[2]]
    assert part.labels.tolist() == rows.labels[[7, 2]].tolist()
    assert torch.equal(everything(part), rows.gather(torch.tensor([7, 2])).x)
