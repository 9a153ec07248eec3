"""Tables read piece by piece: the same rows as at once, from any row on, and refusals with the row in the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from vaekit.core import ContextSpec, DataSpec
from vaekit.data import read
from vaekit.data.dataset import Preparation
from vaekit.data.streams import Piece, TableStream
from vaekit.errors import DataError

NAMES = ("c", "a", "flag")
ROLES: dict[str, Any] = {"classes": ("bad", "good"), "label": "kind", "id": "name"}
READY = Preparation((3,), names=NAMES, **ROLES)
SPEC = DataSpec((3,), names=NAMES, classes=("bad", "good"))


def big(n: int = 1000) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    columns = {
        "name": [f"n{i}" for i in range(n)],
        "a": rng.normal(size=n).round(4),
        "kind": np.where(rng.random(n) < 0.3, "bad", np.where(rng.random(n) < 0.1, "odd", "good")),
        "flag": rng.random(n) < 0.5,
        "c": rng.integers(-50, 50, n),
    }
    return pd.DataFrame(columns)


def saved(table: pd.DataFrame, path: Path) -> Path:
    """With row groups of 300."""
    if path.suffix == ".csv":
        table.to_csv(path, index=False)
    else:
        table.to_parquet(path, index=False, row_group_size=300)
    return path


@pytest.fixture(params=["big.csv", "big.parquet"])
def path(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("vaekit.data.streams.BLOCK", 4096)  # several blocks in a small file
    return saved(big(), tmp_path / request.param)


def joined(pieces: list[Piece]) -> torch.Tensor:
    return torch.cat([piece.x for piece in pieces])


def test_pieces_are_the_rows_in_order(path: Path) -> None:
    stream = TableStream(path, READY, SPEC, batch_rows=128)
    pieces, rows = list(stream), read(path, READY, SPEC)
    whole = rows.gather(torch.arange(1000)).x
    assert torch.equal(joined(pieces), whole)
    assert torch.equal(joined(pieces), torch.from_numpy(big()[list(NAMES)].to_numpy(np.float32)))
    assert torch.equal(torch.cat([piece.labels for piece in pieces]), rows.labels)  # type: ignore[misc]
    assert [name for piece in pieces for name in piece.ids or ()] == list(rows.ids)
    assert [piece.first for piece in pieces] == np.cumsum([0, *(len(piece.x) for piece in pieces)])[:-1].tolist()
    assert len(pieces) > 3
    assert max(len(piece.x) for piece in pieces) <= 128
    assert all(piece.x.is_contiguous() and piece.x.dtype == torch.float32 for piece in pieces)
    assert torch.equal(joined(list(stream)), whole)  # once more


@pytest.mark.parametrize("start", [1, 299, 300, 301, 777, 999, 1000, 2000])
def test_from_any_row_on(path: Path, start: int) -> None:
    pieces = list(TableStream(path, READY, SPEC, batch_rows=128, start=start))
    expected = big()[list(NAMES)].to_numpy(np.float32)[start:]
    assert sum(len(piece.x) for piece in pieces) == len(expected)
    if pieces:
        assert pieces[0].first == start
        assert torch.equal(joined(pieces), torch.from_numpy(expected))


def test_row_groups_before_the_start_are_not_read(tmp_path: Path) -> None:
    path = saved(big(), tmp_path / "a.parquet")
    content = bytearray(path.read_bytes())
    column = pq.ParquetFile(path).metadata.row_group(0).column(1)
    begin = column.dictionary_page_offset or column.data_page_offset
    content[begin : begin + column.total_compressed_size] = bytes(column.total_compressed_size)
    path.write_bytes(content)
    assert sum(len(piece.x) for piece in TableStream(path, READY, SPEC, start=300)) == 700
    with pytest.raises(DataError, match=r"a.parquet: expected a readable .parquet file, got:"):
        list(TableStream(path, READY, SPEC))


def test_progress(path: Path) -> None:
    stream = TableStream(path, READY, SPEC, batch_rows=128)
    assert stream.total == (1000 if path.suffix == ".parquet" else None)
    fractions = [stream.fraction]
    for _ in stream:
        fractions.append(stream.fraction)  # noqa: PERF401
    assert fractions == sorted(fractions)
    assert (fractions[0], stream.fraction) == (0.0, 1.0)
    assert 0 < fractions[1] <= 1


def test_columns_that_are_not_there_or_not_needed(path: Path) -> None:
    with pytest.raises(DataError, match=r"big\.\w+: .* got a table without 'aa' \(did you mean 'a'\?\)"):
        TableStream(path, Preparation((2,), names=("aa", "c")), SPEC)
    ready = Preparation((2,), names=("a", "c"), ignored=("flag",))
    with pytest.warns(UserWarning, match="ignored: name, kind$") as caught:
        stream = TableStream(path, ready, SPEC)
    assert (len(caught), caught[0].filename) == (1, __file__)
    first = next(iter(stream))
    assert (first.x.shape[1], first.labels, first.ids) == (2, None, None)


def test_context_columns_are_known_but_not_read(path: Path) -> None:
    ready = Preparation((1,), names=("a",), ignored=("flag", "kind", "name"))
    stream = TableStream(path, ready, DataSpec((1,), names=("a",), context={"c": ContextSpec()}))
    assert next(iter(stream)).x.shape[1] == 1


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("oops", r"got text in 1 of 3 columns:\n  a: 'oops' in row 700 \(1 of \d+ values\)\n  fix: give numbers"),
        ("inf", r"infinite ones:\n  a: inf in row 700"),
        ("1e300", r"a: 1e\+300 in row 700 \(1 of \d+ values, beyond what float32 holds\)"),
        ("", "got none of a in some rows, first of 'a' in row 700"),
    ],
)
def test_refusals_name_the_row_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, cell: str, message: str
) -> None:
    monkeypatch.setattr("vaekit.data.streams.BLOCK", 4096)
    table = big().astype({"a": str})
    table.loc[700, "a"] = cell
    path = saved(table, tmp_path / f"a.{kind}")
    for start in (0, 650):
        with pytest.raises(DataError, match=message):
            list(TableStream(path, READY, SPEC, batch_rows=128, start=start))


@pytest.mark.parametrize("kind", ["csv", "parquet"])
@pytest.mark.parametrize("missing", ["observed", "drop"])
def test_gaps_stay(tmp_path: Path, kind: str, missing: Any) -> None:
    table = big(50).astype({"flag": "boolean", "c": "Int64"})
    table.iloc[7, 1], table.iloc[9, 3], table.iloc[11, 4] = np.nan, pd.NA, pd.NA
    ready = Preparation((3,), names=NAMES, missing=missing, **ROLES)
    x = joined(list(TableStream(saved(table, tmp_path / f"a.{kind}"), ready, SPEC)))
    assert x.isnan().nonzero().tolist() == [[7, 1], [9, 2], [11, 0]]


def test_classes_and_names_are_spelled_as_in_training(tmp_path: Path) -> None:
    table = big(30)[["a", "c", "flag"]].assign(kind=[0.0, 1.0, np.nan] * 10, name=range(30))
    ready = Preparation((3,), names=NAMES, classes=("0", "1"), label="kind", id="name")
    for path in (tmp_path / "a.csv", tmp_path / "a.parquet"):
        (piece,) = TableStream(saved(table, path), ready, SPEC)
        assert piece.labels is not None
        assert piece.labels.tolist() == [0, 1, -1] * 10
        assert piece.ids == [str(i) for i in range(30)]


def test_files_that_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((5, 3)))
    with pytest.raises(DataError, match=r"a.npy: expected a .parquet or .csv file, got '.npy'"):
        TableStream(tmp_path / "a.npy", READY, SPEC)
    with pytest.raises(DataError, match="there is nothing"):
        TableStream(tmp_path / "b.csv", READY, SPEC)
    with pytest.raises(DataError, match=r"trained on arrays of shape \(3,\)"):
        TableStream(saved(big(5), tmp_path / "a.csv"), Preparation((3,)), SPEC)
    for kind in ("csv", "parquet"):
        with pytest.raises(DataError, match="got a header alone: name, a, kind, flag, c"):
            list(TableStream(saved(big(0), tmp_path / f"empty.{kind}"), READY, SPEC))
    (tmp_path / "torn.csv").write_text("c,a,flag\n1,2,0\n" * 1 + "1,2,0\n" * 20 + "1,2\n")
    with pytest.raises(DataError, match=r"torn.csv: expected a readable .csv file, got: .*Expected 3 columns, got 2"):
        list(TableStream(tmp_path / "torn.csv", READY, SPEC))


def test_wide_tables_and_dots_in_names(tmp_path: Path) -> None:
    names = ("a", "a.b", "b")
    pq.write_table(pa.table({name: [float(i)] * 4 for i, name in enumerate(names)}), tmp_path / "a.parquet")
    (piece,) = TableStream(tmp_path / "a.parquet", Preparation((2,), names=("b", "a"), ignored=("a.b",)), SPEC)
    assert piece.x.tolist() == [[2.0, 0.0]] * 4
