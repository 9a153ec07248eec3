"""New data for a run on a table: columns found by name, in any order, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from data_makers import picture
from table_makers import ROLES, everything, people, saved

from vaekit.core import DataSpec
from vaekit.data import read
from vaekit.data.dataset import Dataset, Preparation
from vaekit.data.table import Table
from vaekit.errors import DataError

RNG = np.random.default_rng(0)


@pytest.fixture
def trained(tmp_path: Path) -> Dataset:
    return Table(saved(people(), tmp_path / "old.csv"), ignore=("member",), **ROLES).load()


@pytest.mark.parametrize("form", ["new.csv", "new.parquet", "frame"])
def test_columns_are_found_by_name(tmp_path: Path, trained: Dataset, form: str) -> None:
    new = people(7)[["height", "member", "kind", "fare", "ticket", "age"]]
    new.loc[2, "kind"] = "unheard of"
    rows = read(new if form == "frame" else saved(new, tmp_path / form), trained.preparation, trained.spec)
    assert torch.equal(everything(rows), torch.from_numpy(new[["age", "fare", "height"]].to_numpy(np.float32)))
    assert rows.labels is not None
    assert rows.labels.tolist() == [0, 1, -1, 1, 1, 0, 1]
    assert list(rows.ids) == [f"t{i:03}" for i in range(7)]


def test_columns_without_a_part_in_the_model_may_be_missing(trained: Dataset) -> None:
    rows = read(people(7)[["height", "fare", "age"]], trained.preparation, trained.spec)
    assert (rows.labels, list(rows.ids)) == (None, [str(i) for i in range(7)])


def test_missing_and_further_columns(tmp_path: Path, trained: Dataset) -> None:
    new = people(7).rename(columns={"fare": "Fare"}).drop(columns="height")
    with pytest.raises(
        DataError, match=r"data: .*without 'fare' \(did you mean 'Fare'\?\), 'height'; it has age, Fare"
    ):
        read(new, trained.preparation, trained.spec)
    with pytest.warns(UserWarning, match=r"columns that the run does not know are ignored: more, yet$") as caught:
        read(people(7).assign(more=1, yet="b"), trained.preparation, trained.spec)
    assert (len(caught), caught[0].filename) == (1, __file__)
    with pytest.warns(UserWarning, match=r"new.csv: columns .* ignored: more$") as caught:
        read(saved(people(7).assign(more=1), tmp_path / "new.csv"), trained.preparation, trained.spec)
    assert (len(caught), caught[0].filename) == (1, __file__)


def test_arrays_count_by_position(tmp_path: Path, trained: Dataset) -> None:
    x = RNG.normal(size=(5, 3)).astype(np.float32)
    np.savez(tmp_path / "new.npz", x=x, y=np.array(["good", "fraud", "good", "yak", ""]))
    for what in (x, torch.from_numpy(x), x.tolist(), tmp_path / "new.npz"):
        assert torch.equal(everything(read(what, trained.preparation, trained.spec)), torch.from_numpy(x))  # type: ignore[arg-type]
    assert read(tmp_path / "new.npz", trained.preparation, trained.spec).labels.tolist() == [1, 0, 1, -1, -1]  # type: ignore[union-attr]
    assert everything(read(x[0], trained.preparation, trained.spec)).shape == (1, 3)
    with pytest.raises(DataError, match=r"expected rows of 3 numbers \(age, fare, height\), got 2"):
        read(x[:, :2], trained.preparation, trained.spec)
    assert read(trained.test, trained.preparation, trained.spec) is trained.test


def test_new_data_that_is_refused(tmp_path: Path, trained: Dataset) -> None:
    bad = people(7).astype({"age": object})
    bad.loc[3, "age"] = "old"
    with pytest.raises(DataError, match=r"age: 'old' in row 3 \(1 of 7 values\)\n  fix: give numbers, as in training"):
        read(bad, trained.preparation, trained.spec)
    gap = people(7)
    gap.loc[4, "fare"] = np.nan
    with pytest.raises(
        DataError, match=r"got none of fare in some rows, first of 'fare' in row 4.\n  fix: fill them in"
    ):
        read(gap, trained.preparation, trained.spec)
    with pytest.raises(DataError, match=r"expected a .csv, .*file, got a folder"):
        read(tmp_path, trained.preparation, trained.spec)
    with pytest.raises(DataError, match="got images, but the run was trained on arrays"):
        read(picture(0), trained.preparation, trained.spec)
    with pytest.raises(DataError, match=r"old.csv: got a table, but the run was trained on arrays of shape \(3,\)"):
        read(tmp_path / "old.csv", Preparation((3,)), trained.spec)


def test_context_columns(tmp_path: Path) -> None:
    table = people().assign(weight=lambda t: t["fare"] * 2, site=["p", "q"] * 20)
    path = saved(table, tmp_path / "a.csv")
    data = Table(path, ignore=("member",), context=("label", "weight", "site"), **ROLES).load()
    assert data.spec.names == ("age", "fare", "height")
    assert (data.spec.context["label"].classes, data.spec.context["site"].classes) == (("fraud", "good"), ("p", "q"))
    assert data.spec.context["weight"].mean == pytest.approx((2 * data.spec.mean[1],), rel=1e-4)
    rows = read(people(6).assign(site=["q", "z", None] * 2), data.preparation, data.spec)
    assert rows.context["site"].tolist() == [1, -1, -1] * 2
    assert rows.context["label"].tolist() == [0, 1, 1, 1, 1, 0]
    assert rows.context["weight"].isnan().all()


def test_preparations_are_stored(trained: Dataset) -> None:
    stored = trained.preparation.to_dict()
    assert Preparation.from_dict(stored) == trained.preparation
    assert (stored["names"], stored["label"], stored["id"], stored["ignored"]) == (
        ["age", "fare", "height"],
        "kind",
        "ticket",
        ["member"],
    )
    old = {"shape": [3], "levels": None, "source_levels": None, "fit": "crop", "classes": []}
    assert Preparation.from_dict(old) == Preparation((3,))
    for key, value in (("missing", "fill"), ("names", ["a"]), ("label", 3)):
        with pytest.raises(DataError, match="expected a shape, levels, a fit and names"):
            Preparation.from_dict({**stored, key: value})


def test_columns_of_new_data_need_no_spec_of_the_table() -> None:
    rows = read(np.zeros((2, 3)), Preparation((3,), names=("a", "b", "c")), DataSpec((3,)))
    assert everything(rows).shape == (2, 3)
