"""Tables of numbers: which columns are modelled, what is refused, gaps, the normal class, and new data for a run."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from table_makers import ROLES, everything, people, saved

import vaekit
from vaekit import recipes
from vaekit.build import build_model, mean_of
from vaekit.core import sum_sites
from vaekit.data import detect, read
from vaekit.data.dataset import Dataset
from vaekit.data.table import Table
from vaekit.errors import ConfigError, DataError, MissingExtraError
from vaekit.tasks.train import in_memory, open_for

RNG = np.random.default_rng(0)


def text(path: Path, content: str) -> str:
    path.write_text(content, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", ["people.csv", "people.parquet"])
def test_columns_labels_and_ids(tmp_path: Path, name: str) -> None:
    table = people()
    data = Table(saved(table, tmp_path / name), **ROLES).load()
    assert (data.name, data.spec.names, data.spec.shape) == ("people", ("age", "fare", "member", "height"), (4,))
    assert (data.spec.levels, data.spec.classes, data.preparation.ignored) == (None, ("fraud", "good"), ())
    seen: list[str] = []
    for rows in (data.train, data.validation, data.test):
        there = table.set_index("ticket").loc[list(rows.ids)]
        assert torch.equal(everything(rows), torch.from_numpy(there[list(data.spec.names)].to_numpy(np.float32)))
        assert rows.labels is not None
        assert [data.spec.classes[k] for k in rows.labels] == there["kind"].tolist()
        assert rows.gather(torch.tensor([0])).mask is None
        seen += rows.ids
    assert sorted(seen) == sorted(table["ticket"])
    assert data.spec.mean == pytest.approx(everything(data.train).double().mean(0).tolist())


def test_files_hold_the_same(tmp_path: Path) -> None:
    csv, parquet = (Table(saved(people(), tmp_path / f"a.{kind}"), **ROLES).load() for kind in ("csv", "parquet"))
    assert csv.fingerprint == parquet.fingerprint
    assert Table(str(tmp_path / "a.csv"), seed=1, **ROLES).load().fingerprint != csv.fingerprint


def test_columns_that_are_chosen_and_left_out(tmp_path: Path) -> None:
    path = saved(people(), tmp_path / "a.csv")
    assert Table(path, columns=("height", "age")).load().spec.names == ("height", "age")
    data = Table(path, ignore=("kind", "ticket", "age")).load()
    assert (data.spec.names, data.preparation.ignored) == (
        ("fare", "member", "height"),
        ("age", "kind", "ticket"),
    )
    assert (data.train.labels, data.train.ids[0].isdigit()) == (None, True)


def test_array_files(tmp_path: Path) -> None:
    x = RNG.integers(0, 2, (30, 3)).astype(np.uint8)
    np.savez(tmp_path / "a.npz", X=x, y=np.arange(30) % 2, site=np.array(["p", "q", "r"] * 10))
    data = Table(str(tmp_path / "a.npz"), normal=0, context=("site",)).load()
    assert (data.spec.names, data.spec.levels, data.spec.classes) == (("x0", "x1", "x2"), None, ("0", "1"))
    assert data.spec.context["site"].classes == ("p", "q", "r")
    assert data.train.labels is not None
    assert set(data.train.labels.tolist()) == {0}
    np.save(tmp_path / "b.npy", x)
    assert Table(str(tmp_path / "b.npy"), ignore=("x1",)).load().spec.names == ("x0", "x2")
    np.save(tmp_path / "c.npy", np.zeros((9, 8, 8)))
    with pytest.raises(DataError, match=r"expected rows of numbers \(n, D\), got an array of shape \(9, 8, 8\)"):
        Table(str(tmp_path / "c.npy")).load()


def test_headless_files_other_delimiters_and_indices(tmp_path: Path) -> None:
    lines = [f"{i / 4},{i % 7}.5" for i in range(20)]
    data = Table(text(tmp_path / "a.csv", "\n".join(lines))).load()
    assert (data.spec.names, len(data.train)) == (("x0", "x1"), 16)
    assert "the first line holds numbers" in data.remarks[0]
    semicolons = ["\ufeffage;fare", *(line.replace(",", ";") for line in lines)]
    assert Table(text(tmp_path / "b.CSV", "\n".join(semicolons))).load().spec.names == ("age", "fare")
    people()[["age", "fare"]].to_csv(tmp_path / "c.csv")
    data = Table(str(tmp_path / "c.csv")).load()
    assert (data.spec.names, data.preparation.ignored) == (("age", "fare"), ())
    assert "1 column without a name" in data.remarks[0]
    people()[["age", "fare"]].set_index(np.arange(40) * 2).to_parquet(tmp_path / "d.parquet")
    assert Table(str(tmp_path / "d.parquet")).load().spec.names == ("age", "fare")


def test_numbers_in_other_types(tmp_path: Path) -> None:
    columns = {
        "small": pa.array([1, None, 3, 4], pa.int8()),
        "truth": pa.array([True, None, False, True]),
        "money": pa.array(["1.50", "2.25", None, "9.00"]).cast(pa.decimal128(5, 2)),
        "coded": pa.array([7.0, 8.0, 7.0, None]).dictionary_encode(),
        "spelled": pa.array(["1e3", "NA", "", " 2"]),
        "half": pa.array(np.array([0.5, 1, 2, 4], np.float16)),
    }
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    data = Table(str(tmp_path / "a.parquet"), missing="observed", validation=0, test=0).load()
    gap = math.nan
    expected = [[1, 1, 1.5, 7, 1000, 0.5], [gap, gap, 2.25, 8, gap, 1], [3, 0, gap, 7, gap, 2], [4, 1, 9, gap, 2, 4]]
    assert torch.equal(everything(data.train).nan_to_num(-1), torch.tensor(expected).nan_to_num(-1))


# --- what is refused -------------------------------------------------------------------------------------------------

TEXT = "age,colour,when\n1,red,2024-01-01\n2,blue,2024-01-02\n3,red,2024-01-03\n"


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (TEXT, {}, r"got text in 2 of 3 columns:\n  colour: 'red' in row 0 \(3 of 3 values\)\n  when: '2024-01-01' in row 0"),
        (TEXT, {}, r"--set 'data.ignore=\[colour, when\]'"),
        ("a b,c\nx,1\n,2\n", {}, r"a b: 'x' in row 0 \(1 of 2 values\)\n.*data.ignore=\[\"a b\"\]"),
        ("a,b\n1,2\nNA,3\n?,4\n", {}, r"a: '\?' in row 2 \(1 of 3 values\)"),
        ("a,b\nx,y\nx,z\n", {}, "got text in every column(.|\n)*fix: give columns of numbers"),
        ("a,b\n1,inf\n2,1e300\n3,4\n", {}, r"infinite ones:\n  b: inf in row 0 \(2 of 3 values\)"),
        ("a,b\n1,1\n2,1e300\n3,4\n", {}, r"b: 1e\+300 in row 1 \(1 of 3 values, beyond what float32 holds\)"),
        ("a,b,a\n1,2,3\n", {}, "a name of its own, got 'a' more than once"),
        ("", {}, "got an empty file"),
        ("\n\n", {}, "got an empty file"),
        ("a,b\n", {}, "got a header alone: a, b"),
        ("a,b\n1,2\n3\n", {}, "expected a readable .csv file, got: CSV parse error: Expected 2 columns, got 1"),
        ("a,b\n5,2\n5,2\n5,2\n", {}, "every column is constant"),
        ("a,b\n5,2\n", {}, "expected enough rows for three splits, got 1"),
        ("a,b\n1,\n,\n3,4\n5,6\n", {}, r"2 of 2 columns: a \(1\), b \(2\); of 4 rows 2 have a gap.\n.*missing=drop.*=observed"),
        ("a,b\n1,\n,4\n", {"missing": "drop"}, "expected rows without a gap, got none"),
        ("a,b\n1,\n2,\n3,\n", {"missing": "observed", "test": 0}, r"got none of b.\n  fix: .*data.ignore=\[b\]"),
        ("a,b\n1,2\n", {"ignore": ("bb",)}, r"data.ignore: unknown column 'bb' \(did you mean 'b'\?\); there are a, b"),
        ("age,b\n1,2\n", {"label": "agee"}, r"data.label: unknown column 'agee' \(did you mean 'age'\?\)"),
        ("a,b\n1,2\n", {"columns": ("a",), "id": "a"}, "one use of the column 'a', got data.columns and data.id"),
        ("a,b\n1,2\n", {"ignore": ("a", "b")}, "expected a column to model, got none"),
        ("a,b\n1,2\n", {"label": "a", "context": ("a",)}, r"fix: data.context=\[label\]"),
        ("a,b\n1,2\n3,4\n", {"normal": 0}, "data.normal: expected a column of classes, got none"),
        ("a,b\n1,2\n3,4\n", {"normal": 0, "label": "a"}, "unknown class '0'; there are 1, 3"),
        ("a,b\n1,0.5\n3,4\n", {"label": "b"}, r"data.label: b: expected classes \(text or whole numbers\), got 0.5"),
        ("a,b\n" + "".join(f"{i},{i}\n" for i in range(50)), {"label": "b"}, "got 50 different values in 50 rows"),
    ],
)  # fmt: skip
def test_tables_that_are_refused(tmp_path: Path, content: str, settings: dict[str, Any], message: str) -> None:
    path = text(tmp_path / "given.csv", content)
    with pytest.raises(DataError, match=message) as error:
        Table(path, **settings).load()
    assert "given" in str(error.value)


@pytest.mark.parametrize(
    ("name", "content"), [("a.csv", b"a,b\xff\n1,2\n"), ("a.parquet", b"PAR1"), ("a.txt", b"1"), ("b", None)]
)
def test_files_that_are_refused(tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is None:
        (tmp_path / name).mkdir()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"expected a.* file, got(.|\n)*fix: "):
        Table(str(tmp_path / name)).load()
    with pytest.raises(DataError, match="there is nothing"):
        Table(str(tmp_path / "nowhere.csv")).load()
    with pytest.raises(DataError, match="cannot be opened again"):
        Table(None).load()


def test_text_beside_lists_and_dates(tmp_path: Path) -> None:
    columns = {"a": [1.0, 2.0], "list": [[1], [2]], "when": pd.to_datetime(["2024-01-01", "2024-01-02"])}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    with pytest.raises(DataError, match=r"text in 2 of 3 columns:\n  list: '\[1\]' in row 0.*\n  when: '2024-01-01"):
        Table(str(tmp_path / "a.parquet")).load()


def test_a_missing_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(people(), tmp_path / "a.csv")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow.csv", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'vaekit\[tables\]'"):
        Table(path).load()


def test_arguments_are_checked() -> None:
    model = {"latent": 2, "encoder": "mlp", "decoder": "mlp", "likelihood": "gaussian"}
    config = recipes.resolve(
        {"data": {"name": "table", "path": "a.csv", "normal": 0}, "model": model, "train": {"epochs": 1}}
    )
    assert (config.data.params["normal"], config.data.params["missing"]) == (0, "error")
    with pytest.raises(ConfigError, match=r"data.missing: .*'error', 'drop' or 'observed'"):
        recipes.resolve({"data": {"name": "table", "path": "a.csv", "missing": "fill"}, "model": model})


def test_constant_columns_are_named_in_a_remark(tmp_path: Path) -> None:
    data = Table(saved(people().assign(same=3), tmp_path / "a.csv"), **ROLES).load()
    assert data.remarks == ("a: constant in the training rows, so not scaled: 1 columns (same)",)


# --- the normal class ------------------------------------------------------------------------------------------------


def test_the_normal_class_alone_is_trained_on(tmp_path: Path) -> None:
    table = people(60)
    table.loc[7, "kind"] = None
    data = Table(saved(table, tmp_path / "a.csv"), normal="good", test=0.2, validation=5, **ROLES).load()
    kinds = [
        sorted({-1: "?", 0: "fraud", 1: "good"}[k] for k in rows.labels.tolist())  # type: ignore[union-attr]
        for rows in (data.train, data.validation, data.test)
    ]
    normal = int((table["kind"] == "good").sum())
    tested = round(0.2 * normal)
    assert kinds == [["good"] * (normal - tested - 5), ["good"] * 5, ["?"] + ["fraud"] * 12 + ["good"] * tested]
    assert any("1 rows without a class go into the test split" in remark for remark in data.remarks)
    few = Table(str(tmp_path / "a.csv"), normal="good", limit=20, **ROLES).load()
    assert sum(len(rows) for rows in (few.train, few.validation, few.test)) == 20
    assert set(few.train.labels.tolist()) == {1}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("classes", "normal"), [([1, -1], 1), ([False, True], False), ([0.0, 1.0], 0), (["a", "b"], "a")]
)
def test_classes_in_any_form(tmp_path: Path, classes: list[Any], normal: Any) -> None:
    table = people()[["age", "fare"]].assign(y=[classes[int(i % 4 == 0)] for i in range(40)])
    data = Table(saved(table, tmp_path / "a.csv"), label="y", normal=normal).load()
    assert len(data.spec.classes) == 2
    assert (len(data.train), len(data.test)) == (24, 13)
    again = read(tmp_path / "a.csv", data.preparation, data.spec).labels
    assert again is not None
    assert (again == data.spec.classes.index(str(normal).lower())).sum() == 30


# --- missing values --------------------------------------------------------------------------------------------------


def gappy() -> pd.DataFrame:
    table = people()[["age", "fare", "height"]].astype(float)
    table.iloc[::4, 1], table.iloc[::6, 0] = np.nan, np.nan
    return table


def test_rows_with_gaps_are_dropped(tmp_path: Path) -> None:
    table = gappy()
    data = Table(saved(table, tmp_path / "a.csv"), missing="drop").load()
    whole = table.dropna()
    ids = [int(i) for rows in (data.train, data.validation, data.test) for i in rows.ids]
    assert sorted(ids) == whole.index.tolist()
    assert torch.equal(everything(data.train)[3], torch.tensor(table.iloc[int(data.train.ids[3])].to_numpy(np.float32)))
    assert (
        f"{40 - len(whole)} of 40 rows are left out: values are missing in 2 of 3 columns: age (7), fare (10)"
        in data.remarks[0]
    )
    rows = read(tmp_path / "a.csv", data.preparation, data.spec)
    assert (len(rows), rows.gather(torch.arange(40)).mask is None) == (40, False)


def observed(tmp_path: Path) -> Dataset:
    return Table(saved(gappy(), tmp_path / "a.csv"), missing="observed").load()


def test_gaps_are_kept_as_a_mask(tmp_path: Path) -> None:
    data = observed(tmp_path)
    for rows in (data.train, data.train.select(torch.arange(20)), data.train.to("cpu")):
        for batch in (rows.gather(torch.tensor([3, 1])), next(rows.batches(torch.tensor([3, 1]), 2))):
            assert isinstance(batch.mask, torch.Tensor)
            assert torch.equal(batch.mask, ~everything(data.train)[[3, 1]].isnan())
    x = everything(data.train).double().numpy()
    assert data.spec.mean == pytest.approx(np.nanmean(x, axis=0))
    assert data.spec.scale == pytest.approx(np.nanstd(x, axis=0))
    assert mean_of(data.train).tolist() == pytest.approx(np.nanmean(x, axis=0), rel=1e-5)
    assert "missing values are left out of the bound" in data.remarks[0]


def test_the_bound_counts_what_is_there(tmp_path: Path) -> None:
    data = observed(tmp_path)
    config = recipes.resolve("array", ["data.path=a.csv", "model.latent=2"])
    model = build_model(config, data.spec, mean_of(data.train)).eval()
    batch = model.likelihood.prepare(data.train.gather(torch.arange(len(data.train))))
    trace = model(batch)
    values = trace.log_likelihood()[0]
    gaps = everything(data.train).isnan()
    assert (values[gaps] == 0).all()
    assert (values[~gaps] != 0).all()
    sum_sites(values, 1).mean().backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())


# --- where tables come in --------------------------------------------------------------------------------------------


def test_dataframes_in_hand() -> None:
    table = people().convert_dtypes().astype({"kind": "category"})
    config, data = open_for("array", table, None, ["data.label=kind", "data.id=ticket"])
    assert (config.data.name, data.name, data.spec.names) == ("table", "memory", ("age", "fare", "member", "height"))
    assert data.spec.classes == ("fraud", "good")
    plain = in_memory(config, people())
    assert data.fingerprint == plain.fingerprint
    numbers = people()[["age", "fare"]]
    for given in ((numbers, people()["kind"]), {"x": numbers, "labels": people()["kind"].to_numpy()}):
        found = open_for("array", given, None, ["data.normal=good"])[1]
        assert (found.spec.names, set(found.train.labels.tolist())) == (("age", "fare"), {1})  # type: ignore[union-attr]
    with pytest.raises(DataError, match="a name of its own, got 'age' more than once"):
        open_for("array", pd.concat([numbers, numbers["age"]], axis=1), None, [])
    with pytest.raises(DataError, match="got a header alone: age, fare"):
        open_for("array", numbers[:0], None, [])
    with pytest.raises(DataError, match="one label for each of the 40 rows"):
        open_for("array", (numbers, [0, 1]), None, [])


def test_gaps_in_dataframes() -> None:
    table = people()[["age", "fare", "member"]].convert_dtypes()
    table.iloc[3, 0], table.iloc[5, 2] = pd.NA, pd.NA
    _, data = open_for("array", table, None, ["data.missing=observed", "data.validation=0", "data.test=0"])
    assert everything(data.train).isnan().nonzero().tolist() == [[3, 0], [5, 2]]


def test_the_recipes_source_wins(tmp_path: Path) -> None:
    x = RNG.normal(size=(30, 3))
    np.savez(tmp_path / "a.npz", X=x)
    path = saved(people(), tmp_path / "a.csv")
    assert detect(path) == ("table", {"path": path})
    assert detect(tmp_path / "a.npz")[0] == "array"
    raw = recipes.read("array").values
    table = {**raw, "data": {"name": "table", "ignore": ["x1"]}}
    assert open_for(table, tmp_path / "a.npz", None, [])[1].spec.names == ("x0", "x2")
    assert open_for({**raw, "data": "table"}, tmp_path / "a.npz", None, [])[0].data.name == "table"
    assert open_for({**raw, "data": {"name": "table"}}, x, None, [])[0].data.name == "table"
    assert open_for("array", tmp_path / "a.npz", None, [])[0].data.name == "array"
    assert open_for("array", path, None, ["data.ignore=[kind, ticket]"])[0].data.name == "table"


def test_a_run_on_a_table(tmp_path: Path) -> None:
    table = people().assign(fare=lambda t: t["fare"].mask(np.arange(40) % 3 == 0))
    path = saved(table, tmp_path / "a.csv")
    small = [
        "model.latent=2",
        "model.encoder.hidden=[8]",
        "model.decoder.hidden=[8]",
        "train.epochs=2",
        "train.time=null",
    ]
    settings = ["data.label=kind", "data.normal=good", "data.id=ticket", "data.missing=observed", "train.device=cpu"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        vaekit.train("array", data=path, overrides=small + settings, out=tmp_path / "run")
    run = vaekit.load(tmp_path / "run")
    assert (run.spec.names, run.preparation.normal, run.rows("test").labels is not None) == (
        ("age", "fare", "member", "height"),
        "good",
        True,
    )
    assert torch.isfinite(torch.tensor([entry["loss"] for entry in run.history if "loss" in entry])).all()
    assert len(read(table, run.preparation, run.spec)) == 40
