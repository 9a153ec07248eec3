"""Detection in a table that may be larger than memory: piece by piece, and on from where it was stopped."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

import vaekit
from vaekit.data.resident import ResidentRows, has_gaps
from vaekit.data.streams import Piece, TableStream
from vaekit.errors import ConfigError, RunError
from vaekit.metrics.abnormality import parse
from vaekit.metrics.conformal import cutoff, threshold
from vaekit.metrics.detector import Detector, digest
from vaekit.metrics.ranking import Ranking
from vaekit.run import Run
from vaekit.tasks.detect import (
    LEVEL,
    REASONS,
    Asked,
    default_score,
    detector_of,
    explained,
    notes_on,
    ranked,
    several,
)
from vaekit.tasks.lock import alone
from vaekit.tasks.records import plain
from vaekit.tasks.verdicts import Verdicts, arrow_table, check_suffix, columns_of, parquet

PIECE = 65_536  # rows
SHOWN = 10  # most abnormal rows
REASONS_OF = ("column", "value", "expected", "nats")
FractionDone = Callable[[int, float], None]  # rows done, and the share of the file


@dataclass(frozen=True)
class Extreme:
    """One of the most abnormal rows of a file."""

    id: str
    score: float
    p_value: float
    because: str  # its first reason; empty where it is not abnormal


@dataclass(frozen=True)
class FileDetection:
    """What was found in a file; the rows stand in `path`."""

    run: str
    dataset: str
    path: Path
    score: str
    n: int
    count: int  # of abnormal rows
    threshold: float
    level: float
    fdr: float | None
    cutoff: float  # rows with a p-value up to it are abnormal
    calibrated_on: str
    calibration_rows: int
    resumed_at: int  # rows that an earlier call had done
    most: tuple[Extreme, ...] = ()  # the most abnormal rows, the most abnormal first
    auroc: float | None = None  # where labels say what is abnormal
    normal: str | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values: dict[str, Any] = plain(self)
        return values


def detect_file(
    run: Run | Sequence[Run],
    data: str | Path,
    out: str | Path,
    *,
    score: str | None = None,
    level: float = LEVEL,
    fdr: float | None = None,
    samples: int = 0,
    reasons: int = REASONS,
    seed: int = 0,
    progress: FractionDone | None = None,
) -> FileDetection:
    """`detect` for a `.csv` or `.parquet` file of any size; a line a row is written to `out`, `.csv` or `.parquet`.

    Memory does not grow with the file. Finished pieces are kept in a folder beside `out`: when the same is asked for again
    after it was stopped, it goes on from there. `out` appears when all is done, whole or not at all.

    Args:
        run: the trained model, or several of the same data.
        data: the file, with the columns of the training data, in any order.
        out: where the table goes; it is replaced if it is there.
        score, level, fdr, samples, reasons, seed: as in `detect`.
        progress: called with the rows done, and the share of the file that is read.

    Raises:
        ConfigError, DataError: as `detect`; columns that are missing, text, infinite values, with their rows.
        RunError: the table cannot be written.
    """
    asked = Asked(level, fdr)
    out = Path(out)
    check_suffix(out.suffix)
    runs = several(run)
    if runs[0].spec.context:
        raise ConfigError("a run with a context is not scored in pieces.\n  fix: vaekit.detect(run, data)")
    recipe = parse(score or default_score(runs))
    detector, calibrations = detector_of(runs, recipe, samples, seed)
    stream = TableStream(
        data, runs[0].preparation, runs[0].spec, PIECE
    )  # refuses what is wrong, before anything is touched
    parts = Parts(out, key_of(detector, Path(data), reasons, asked.highest))
    with parts.alone():
        first = done = parts.open()
        stream.start = first
        for piece in ahead(stream):
            parts.add(judged(detector, runs[0], piece, reasons, asked.highest), done, len(piece.x))
            done += len(piece.x)
            if progress is not None:
                progress(done, stream.fraction)
        at_most = cutoff(parts.p_values(), fdr) if fdr is not None else level
        order, most = parts.ranking(runs[0].preparation.normal), parts.most()
        abnormal = parts.finish(at_most)
    return FileDetection(
        run=runs[0].name,
        dataset=Path(data).name,
        path=out,
        score=str(recipe),
        n=done,
        count=abnormal,
        threshold=threshold(detector.calibration, level),
        level=level,
        fdr=fdr,
        cutoff=at_most,
        calibrated_on=calibrations[0].source,
        calibration_rows=len(detector.calibration),
        resumed_at=first,
        most=most,
        auroc=None if order is None else order.auroc,
        normal=runs[0].preparation.normal,
        notes=notes_on(detector, calibrations[0], asked, done, False),
    )


def judged(detector: Detector, run: Run, piece: Piece, reasons: int, level: float) -> Any:
    """A piece of the file as a table of verdicts; which rows are abnormal is settled at the end."""
    rows = ResidentRows(piece.x, run.spec, gaps=has_gaps(piece.x)).to(next(run.model.parameters()).device)
    found = detector.scan(rows)
    p = detector.p_values(found.parts)
    why = explained(detector, rows, found.numbers, p <= level, reasons) if reasons else None
    ids = np.arange(piece.first, piece.first + len(piece.x)) if piece.ids is None else np.asarray(piece.ids)
    verdicts = Verdicts(ids, piece.labels, detector.score(found.parts), p, p <= level, why)
    split = {name: found.parts[:, i] for i, name in enumerate(detector.recipe.names)}
    return arrow_table(columns_of(verdicts, split, run.spec, run.spec.classes))


def key_of(detector: Detector, data: Path, reasons: int, highest: float) -> str:
    """What must be the same for a detection to go on: the weights, what is compared with, the options, and the file."""
    stat = data.expanduser().stat()
    codes = [value for known in detector.codes if known is not None for value in vars(known).values()]
    options = (str(detector.recipe), detector.samples, detector.seed, reasons, highest, PIECE, vaekit.__version__)
    file = (str(data.expanduser().absolute()), stat.st_size, stat.st_mtime_ns)
    specs = [model.likelihood.spec for model in detector.models]
    return digest(*detector.models, *specs, detector.normal, detector.reference, *codes, options, file)


class Parts:
    """The finished pieces of a detection, in a folder beside the table that they become."""

    def __init__(self, out: Path, key: str) -> None:
        self.out, self.key = out, key
        self.home = out.with_name(f".{out.name}.parts")
        self.folder = self.home / key[:12]
        self.index: list[int] = []  # rows of each piece

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the place; it goes if nothing is to be gone on with. Raises `RunError` where another process has it."""
        with writable(self.out):
            self.folder.mkdir(parents=True, exist_ok=True)
        with alone(self.home, "scored"):
            try:
                yield
            finally:
                if not self.index:
                    shutil.rmtree(self.home, ignore_errors=True)

    def open(self) -> int:
        """The rows that are done already."""
        try:
            record = json.loads((self.folder / "state.json").read_text(encoding="utf-8"))
            self.index = [int(rows) for rows in record["rows"]] if record["key"] == self.key else []
        except (OSError, ValueError, KeyError, TypeError):
            self.index = []
        return sum(self.index)

    def add(self, table: Any, first: int, rows: int) -> None:
        """Keep a piece; the list of pieces is replaced after it, so that it never names one that is not whole."""
        assert first == sum(self.index), "pieces come one after the other"
        with writable(self.out):
            parquet().write_table(table, self.place(len(self.index)), compression="none")
            self.index.append(rows)
            temporary = self.folder / ".state.json"
            temporary.write_text(json.dumps({"key": self.key, "rows": self.index}), encoding="utf-8")
            os.replace(temporary, self.folder / "state.json")

    def place(self, number: int) -> Path:
        """Where a piece is."""
        return self.folder / f"{number:06}.parquet"

    def p_values(self) -> Iterator[Tensor]:
        """The p-values of every piece."""
        for number in range(len(self.index)):
            column = parquet().read_table(self.place(number), columns=["p_value"]).column(0)
            yield torch.from_numpy(column.to_numpy().copy())

    def ranking(self, normal: str | None) -> Ranking | None:
        """How well the scores tell apart what labels do; None without labels, or where they are of one kind."""
        if normal is None or not self.index or "label" not in parquet().read_schema(self.place(0)).names:
            return None
        tables = [parquet().read_table(self.place(i), columns=["label", "score"]) for i in range(len(self.index))]
        labels = [label for table in tables for label in table.column("label").to_pylist()]
        truth = torch.tensor([-1 if not label else int(label != normal) for label in labels])
        scores = [torch.from_numpy(table.column("score").to_numpy().copy()) for table in tables]
        return ranked(torch.cat(scores), truth)

    def most(self) -> tuple[Extreme, ...]:
        """The rows with the highest scores of all pieces."""
        found: list[Extreme] = []
        for number in range(len(self.index)):
            table = parquet().read_table(self.place(number))
            highest = np.argsort(-table.column("score").to_numpy(), kind="stable")[:SHOWN]
            found += [extreme(row) for row in table.take(highest).to_pylist()]
        return tuple(sorted(found, key=lambda one: -one.score)[:SHOWN])

    def finish(self, at_most: float) -> int:
        """Join the pieces to the table, rows with p-values up to `at_most` as abnormal; returns how many those are."""
        temporary, abnormal = self.folder / f"whole{self.out.suffix}", 0
        with writable(self.out):
            writer = None
            for number in range(len(self.index)):
                table = parquet().read_table(self.place(number))
                table, count = settled(table, at_most)
                abnormal += count
                writer = writer or writer_of(temporary, table.schema)
                writer.write_table(table)
            if writer is not None:
                writer.close()
                os.replace(temporary, self.out)
        self.index = []
        return abnormal


def extreme(row: Mapping[str, Any]) -> Extreme:
    """A line of the table of verdicts, in short."""
    because = ""
    if row.get("column_1") and row["value_1"] is not None:
        because = f"{row['column_1']} is {row['value_1']:.4g}, expected {row['expected_1']:.4g}"
    return Extreme(str(row["id"]), row["score"], row["p_value"], because)


def settled(table: Any, at_most: float) -> tuple[Any, int]:
    """The table with its column `abnormal` by the p-values, texts as texts; and how many rows are abnormal."""
    import pyarrow
    import pyarrow.compute as compute

    abnormal = table.column("p_value").to_numpy() <= at_most
    for number, name in enumerate(table.schema.names):
        column = table.column(number)
        if name == "abnormal":
            column = pyarrow.array(abnormal.astype(np.int8))
        elif pyarrow.types.is_dictionary(column.type):
            column = compute.cast(column, pyarrow.string())
        if name.rpartition("_")[0] in REASONS_OF:  # of rows that are abnormal after all
            column = compute.if_else(pyarrow.array(abnormal), column, pyarrow.scalar(None, column.type))
        table = table.set_column(number, name, column)
    return table, int(abnormal.sum())


def writer_of(path: Path, schema: Any) -> Any:
    """What writes tables one after the other into a `.csv` or `.parquet` file."""
    if path.suffix.lower() == ".parquet":
        return parquet().ParquetWriter(path, schema)
    import pyarrow.csv

    options = pyarrow.csv.WriteOptions(quoting_style="needed")
    return pyarrow.csv.CSVWriter(path, schema, write_options=options)


def ahead(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """The same pieces, the next one read in another thread while one is worked on."""
    with ThreadPoolExecutor(1, thread_name_prefix="vaekit-read") as pool:
        coming = iter(pieces)
        waiting = pool.submit(next, coming, None)
        while (piece := waiting.result()) is not None:
            waiting = pool.submit(next, coming, None)
            yield piece


@contextmanager
def writable(path: Path) -> Iterator[None]:
    """What cannot be written is said with the place that was asked for."""
    try:
        yield
    except OSError as error:
        raise RunError(
            f"{path}: cannot be written ({error.strerror or error}); finished pieces are kept.\n"
            "  fix: free some space or rights there, and ask for the same again; or another -o"
        ) from None


__all__ = ["FileDetection", "detect_file"]
