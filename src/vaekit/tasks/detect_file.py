"""Detection in a table that may be larger than memory: piece by piece, and on from where it was stopped."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vaekit.data.resident import ResidentRows, has_gaps
from vaekit.data.streams import Piece, TableStream
from vaekit.errors import RunError
from vaekit.metrics.abnormality import parse
from vaekit.metrics.conformal import cutoff, threshold
from vaekit.metrics.detector import Detector
from vaekit.run import Run
from vaekit.tasks.calibrate import Calibration
from vaekit.tasks.detect import LEVEL, REASONS, Asked, default_score, detector_of, explained, notes_on, several
from vaekit.tasks.verdicts import Verdicts, arrow_table, check_suffix, columns_of, parquet

PIECE = 65_536  # rows
FractionDone = Callable[[int, float], None]  # rows done, and the share of the file


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
    auroc: float | None = None  # where labels say what is abnormal
    normal: str | None = None
    notes: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return {name: str(value) if isinstance(value, Path) else value for name, value in vars(self).items()}


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
    recipe = parse(score or default_score(runs))
    detector, calibrations = detector_of(runs, recipe, samples, seed)
    parts = Parts(out, key_of(runs, calibrations, Path(data), detector, reasons, asked.highest))
    first = parts.open()
    stream = TableStream(data, runs[0].preparation, runs[0].spec, PIECE, start=first)
    done = first
    for piece in ahead(stream):
        parts.add(judged(detector, runs[0], piece, reasons, asked.highest), done, len(piece.x))
        done += len(piece.x)
        if progress is not None:
            progress(done, stream.fraction)
    at_most = cutoff(parts.p_values(), fdr) if fdr is not None else level
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


def key_of(
    runs: Sequence[Run], calibrations: Sequence[Calibration], data: Path, detector: Detector, reasons: int, level: float
) -> str:
    """What must be the same for a detection to go on: the weights, the calibration, the options, and the file."""
    total = hashlib.sha256()
    for run in runs:
        for value in run.model.state_dict().values():
            total.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    for calibration in calibrations:
        total.update(calibration.parts.numpy().tobytes())
    try:
        stat = data.expanduser().stat()
    except OSError:
        return ""  # the stream says in words what is wrong with the file
    options = (str(detector.recipe), level, detector.samples, detector.seed, reasons, PIECE)
    total.update(repr((options, str(data.expanduser().absolute()), stat.st_size, stat.st_mtime_ns)).encode())
    return total.hexdigest()


class Parts:
    """The finished pieces of a detection: a folder beside the table that they become, each of them written atomically."""

    def __init__(self, out: Path, key: str) -> None:
        self.out, self.key = out, key
        self.folder = out.with_name(f".{out.name}.parts")
        self.index: list[int] = []  # rows of each piece

    def open(self) -> int:
        """The rows that are done already, of a detection with the same key; anything else is cleared away."""
        state = self.folder / "state.json"
        try:
            record = json.loads(state.read_text(encoding="utf-8"))
            if record["key"] == self.key:
                self.index = [int(rows) for rows in record["rows"]]
                return sum(self.index)
        except (OSError, ValueError, KeyError, TypeError):
            pass
        shutil.rmtree(self.folder, ignore_errors=True)
        with writable(self.out):
            self.folder.mkdir(parents=True)
        return 0

    def add(self, table: Any, first: int, rows: int) -> None:
        """Keep a piece; the list of pieces is written after it, so that it never names one that is not there."""
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
        shutil.rmtree(self.folder, ignore_errors=True)
        return abnormal


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
