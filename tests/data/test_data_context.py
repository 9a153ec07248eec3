"""The context of a set: which columns condition, what is known of them, and how other data is read for a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from vaekit.core import ContextSpec, DataSpec
from vaekit.data import from_arrays, read
from vaekit.data.array import Array
from vaekit.data.context import read_column
from vaekit.data.digits import Digits
from vaekit.data.images import Images
from vaekit.errors import DataError

N = 40
X = np.random.RandomState(0).randint(0, 256, (N, 9, 12)).astype(np.uint8)
AGE = np.linspace(20, 60, N)


def stored(folder: Path, **columns: Any) -> str:
    path = folder / "set.npz"
    np.savez(path, images=X, **columns)
    return str(path)


def test_labels_condition_when_they_are_asked_to() -> None:
    plain, given = Digits().load(), Digits(context=("label",)).load()
    assert not plain.spec.context and not plain.train.context
    entry = given.spec.context["label"]
    assert entry.classes == tuple("0123456789") and sum(entry.shares) == pytest.approx(1)
    batch = given.test.gather(torch.tensor([5, 2]))
    assert given.test.labels is not None
    assert torch.equal(batch.context["label"], given.test.labels[[5, 2]])
    assert given.fingerprint == plain.fingerprint, "the same rows, whatever conditions"


def test_any_array_of_a_file_may_condition(tmp_path: Path) -> None:
    side = np.array(["left", "right", "left", ""] * 10)
    vectors = np.random.RandomState(1).randn(N, 3).astype(np.float32)
    path = stored(tmp_path, labels=np.arange(N) % 4, side=side, age=AGE, vectors=vectors)
    data = Array(path, context=("label", "side", "age", "vectors")).load()
    entries = data.spec.context
    assert entries["side"].classes == ("left", "right") and entries["side"].shares == pytest.approx(
        (2 / 3, 1 / 3), abs=0.05
    )
    assert entries["age"].size == 1 and 20 <= entries["age"].low[0] < entries["age"].high[0] <= 60
    assert entries["vectors"].size == 3
    for rows in (data.train, data.validation, data.test):
        batch = rows.gather(torch.arange(len(rows)))
        number = torch.tensor([int(name) for name in rows.ids])
        assert torch.equal(batch.context["side"], torch.tensor([0, 1, 0, -1] * 10)[number])
        torch.testing.assert_close(
            batch.context["age"][:, 0].double(), torch.from_numpy(AGE)[number], rtol=1e-6, atol=1e-6
        )
        assert torch.equal(batch.context["vectors"], torch.from_numpy(vectors)[number])


def test_statistics_are_of_the_training_rows_alone() -> None:
    data = from_arrays(X, columns={"age": AGE}, context=("age",), validation=0.25, test=0.25)
    age = data.train.context["age"].double()
    assert data.spec.context["age"].mean[0] == pytest.approx(age.mean().item())
    assert data.spec.context["age"].scale[0] == pytest.approx(age.std(correction=0).item())
    assert (
        data.fingerprint
        != from_arrays(X, columns={"age": AGE + 1}, context=("age",), validation=0.25, test=0.25).fingerprint
    )


@pytest.mark.parametrize(
    ("columns", "context", "parts"),
    [
        ({"age": AGE}, ("aeg",), ("unknown entry 'aeg'", "did you mean 'age'", "label, age")),
        ({}, ("label",), ("unknown entry 'label'", "no labels")),
        ({"age": AGE[:-1]}, ("age",), (f"expected {N} rows", "(39,)")),
        ({"age": np.where(AGE > 50, np.inf, AGE)}, ("age",), ("expected finite numbers", "infinity")),
        ({"age": np.full(N, np.nan)}, ("age",), ("known in some training row",)),
        ({"age": ["n/a", *(f"{age:.2f}" for age in AGE[1:])]}, ("age",), ("expected numbers, got 'n/a'", "1 of 40")),
        ({"age": [f"{age:.2f}" for age in AGE]}, ("age",), ("expected numbers, got text", "as floats")),
        ({"name": [f"row {i}" for i in range(N)]}, ("name",), ("40 different texts in 40 rows",)),
        ({"side": np.where(np.arange(N) % 2, 1, -1)}, ("side",), ("at least two classes", "'1' alone")),
        ({"code": np.arange(N) * 1_000_000}, ("code",), ("at most 10000 classes", "given as floats")),
    ],
    ids=[
        "misspelt",
        "no labels",
        "too few",
        "infinite",
        "all unknown",
        "mixed",
        "text",
        "own",
        "one class",
        "too many",
    ],
)
def test_what_cannot_condition(columns: dict[str, Any], context: tuple[str, ...], parts: tuple[str, ...]) -> None:
    with pytest.raises(DataError) as error:
        from_arrays(X, columns=columns, context=context)
    for part in parts:
        assert part in str(error.value)


def test_other_data_is_looked_up_in_the_classes_of_training() -> None:
    known = ContextSpec(classes=("cat", "dog"))
    found = read_column("kind", np.array(["dog", "cow", "cat", ""]), 4, "set", known)
    assert found.values.tolist() == [1, -1, 0, -1]
    assert read_column("kind", np.array([1, 7, -1, 0]), 4, "set", known).values.tolist() == [1, -1, -1, 0]
    with pytest.raises(DataError, match=r"set\[kind\]: expected classes \(cat, dog\), as in training, got float64"):
        read_column("kind", AGE[:4], 4, "set", known)
    with pytest.raises(DataError, match="expected 2 numbers a row, as in training, got 3"):
        read_column("place", np.zeros((4, 3)), 4, "set", ContextSpec(size=2))


def test_data_in_hand_has_an_unknown_context_and_files_have_theirs(tmp_path: Path) -> None:
    data = from_arrays(X, np.arange(N) % 4, columns={"age": AGE}, context=("label", "age"))
    rows = read(X[:5], data.preparation, data.spec)
    batch = rows.gather(torch.arange(5))
    assert batch.context["label"].tolist() == [-1] * 5 and batch.context["age"].isnan().all()
    rows = read(stored(tmp_path, labels=np.array([3, 2, 1, 0] * 10), age=AGE), data.preparation, data.spec)
    batch = rows.gather(torch.tensor([4, 1]))
    assert batch.context["label"].tolist() == [3, 2]
    assert batch.context["age"][:, 0].tolist() == pytest.approx([AGE[4], AGE[1]])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Images in two class folders, and a table of attributes of most of them."""
    for i in range(20):
        place = tmp_path / "images" / ("cats" if i % 2 else "dogs")
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(X[i]).save(place / f"{i:02}.png")
    lines = [
        f"{'cats' if i % 2 else 'dogs'}/{i:02}.png,{i / 2 + 0.25},{'big' if i > 9 else 'small'}" for i in range(19)
    ]
    (tmp_path / "table.csv").write_text("\n".join(["file,weight,size", *lines]) + "\n")
    return tmp_path


@pytest.mark.parametrize("memory_mb", [512, 0], ids=["in memory", "streamed"])
def test_folders_have_classes_and_tables(folder: Path, memory_mb: int) -> None:
    source = Images(
        str(folder / "images"),
        memory_mb=memory_mb,
        context=("label", "weight", "size"),
        attributes=str(folder / "table.csv"),
    )
    data = source.load()
    assert data.spec.context["label"].classes == ("cats", "dogs")
    assert data.spec.context["size"].classes == ("big", "small")
    seen = 0
    for rows in (data.train, data.validation, data.test):
        for batch in rows.batches(torch.arange(len(rows)), 3):
            assert batch.index is not None
            for position, row in enumerate(batch.index.tolist()):
                number = int(Path(rows.ids[row]).stem)
                assert batch.context["label"][position] == (0 if number % 2 else 1)
                weight = batch.context["weight"][position].item()
                assert weight == pytest.approx(number / 2 + 0.25) if number < 19 else np.isnan(weight)
                assert batch.context["size"][position] == (-1 if number == 19 else 0 if number > 9 else 1)
                seen += 1
    assert seen == 20


def test_a_balanced_set_brings_its_table_along(folder: Path) -> None:
    source = {"context": ("label", "weight"), "attributes": str(folder / "table.csv")}
    data = Images(str(folder / "images"), **source).load()  # type: ignore[arg-type]
    assert any("weight is unknown in 1 of 20 rows" in remark for remark in data.remarks)
    rows = read(folder / "images", data.preparation, data.spec)
    assert rows.context["weight"].isnan().all()
    (folder / "images" / "attributes.csv").write_text((folder / "table.csv").read_text())
    rows = read(folder / "images", data.preparation, data.spec)
    number = [int(Path(name).stem) for name in rows.ids]
    expected = [i / 2 + 0.25 if i < 19 else float("nan") for i in number]
    np.testing.assert_allclose(rows.context["weight"][:, 0].numpy(), expected)


def test_unknown_cells_of_a_table(folder: Path) -> None:
    lines = [
        f"{'cats' if i % 2 else 'dogs'}/{i:02}.png,{(-1, 3, 4)[i % 3]},{'nan' if i % 4 else i + 0.5}" for i in range(20)
    ]
    (folder / "table.csv").write_text("\n".join(["file,kind,weight", *lines]) + "\n")
    data = Images(str(folder / "images"), context=("kind", "weight"), attributes=str(folder / "table.csv")).load()
    assert data.spec.context["kind"].classes == ("3", "4")
    assert not data.spec.context["weight"].is_category


def test_tables_that_do_not_fit(folder: Path) -> None:
    images = str(folder / "images")
    with pytest.raises(DataError, match="there is no such file"):
        Images(images, attributes=str(folder / "nothing.csv"))
    (folder / "other.csv").write_text("name,weight\na,1.5\n")
    with pytest.raises(DataError, match="expected a column 'file'"):
        Images(images, context=("weight",), attributes=str(folder / "other.csv")).load()
    (folder / "other.csv").write_text("file,weight\na.png,1.5\n")
    with pytest.raises(DataError, match="none of its files is in the folder"):
        Images(images, context=("weight",), attributes=str(folder / "other.csv")).load()
    (folder / "other.csv").write_text("file,weight\na.png\n")
    with pytest.raises(DataError, match="line 2 has 1 cells, the header 2"):
        Images(images, context=("weight",), attributes=str(folder / "other.csv")).load()
    with pytest.raises(DataError, match="unknown entry 'wieght'"):
        Images(images, context=("wieght",), attributes=str(folder / "table.csv")).load()


def test_a_spec_says_what_is_unknown() -> None:
    spec = DataSpec((2,), context={"label": ContextSpec(classes=("a", "b")), "age": ContextSpec(size=3)})
    assert spec.context["label"].unknown(4).tolist() == [-1] * 4
    assert spec.context["age"].unknown(2).shape == (2, 3) and spec.context["age"].unknown(2).isnan().all()
