"""Image files that do not fit in memory: decoded by background threads, in order, with bounded memory."""

from __future__ import annotations

import os
import sys
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from vaekit.core import Batch, DataSpec
from vaekit.data.dataset import Preparation, Rows, pieces, rows_of
from vaekit.data.decode import Pixels, read_pixels
from vaekit.data.ids import pick
from vaekit.data.resident import ResidentRows
from vaekit.errors import DataError

IN_FLIGHT = 64 * 2**20  # bytes of decoded batches that wait to be used
PIECE = 16  # images that one task of a thread decodes
MOST_BROKEN = 0.2  # of all files; beyond that something is wrong with the folder rather than with a few files


def available_cores() -> int:
    """Cores that this process may use, 16 at the most: more decoding threads only wait for each other."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return min(cores, 16)


@dataclass(frozen=True)
class _Pending:
    """A batch that is being decoded: each task returns the positions that failed, with the reason."""

    index: Tensor  # (B,)
    x: Tensor  # (B, C, H, W)
    tasks: list[Future[dict[int, str]]]


@dataclass(frozen=True, eq=False)
class StreamedRows(Rows):
    """Rows that are image files below `root`. The order of a batch never depends on how fast the threads are.

    A file that cannot be decoded is left out of its batch, recorded in `broken` (row → reason) and warned about; with
    more than a fifth of the rows broken a `DataError` ends it.
    """

    root: Path
    ids: Sequence[str]  # file names below the root
    spec: DataSpec
    preparation: Preparation
    labels: Tensor | None = None  # (n,)
    context: Mapping[str, Tensor] = field(default_factory=dict)  # (n, ...) each
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    workers: int = field(default_factory=available_cores)
    broken: dict[int, str] = field(default_factory=dict)
    quiet: bool = False  # the caller reports `broken` itself

    def __len__(self) -> int:
        return len(self.ids)

    def gather(self, index: Tensor) -> Batch:
        for batch in self.batches(index, max(len(index), 1)):
            return batch
        return Batch(x=torch.empty((0, *self.spec.shape), dtype=torch.uint8), index=index[:0])

    def batches(self, order: Tensor, batch_size: int, drop_last: bool = False) -> Iterator[Batch]:
        Image.init()  # registers the formats before threads race to do it
        waiting: deque[_Pending] = deque()
        ahead = self._batches_ahead(batch_size)
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="vaekit-decode")
        try:
            for index in pieces(order.cpu(), batch_size, drop_last):
                waiting.append(self._submit(pool, index))
                if len(waiting) > ahead:
                    yield from self._finish(waiting.popleft())
            while waiting:
                yield from self._finish(waiting.popleft())
        finally:
            pool.shutdown(wait=True, cancel_futures=True)

    def select(self, index: Tensor) -> StreamedRows:
        index = index.cpu()
        labels = None if self.labels is None else self.labels[index]
        context = rows_of(self.context, index)
        return replace(self, ids=pick(self.ids, index), labels=labels, context=context, broken={})

    def to(self, device: torch.device | str) -> StreamedRows:
        return replace(self, device=torch.device(device))

    def resident(self) -> ResidentRows:
        """All rows decoded into one tensor; those that are broken are gone (and stand in `broken`)."""
        x = torch.empty((len(self), *self.spec.shape), dtype=torch.uint8)
        kept: list[Tensor] = []
        count = 0
        quiet = replace(self, device=torch.device("cpu"), quiet=True)
        for batch in quiet.batches(torch.arange(len(self)), 256):
            assert isinstance(batch.x, Tensor) and batch.index is not None
            x[count : count + len(batch)] = batch.x
            kept.append(batch.index)
            count += len(batch)
        index = torch.cat(kept) if kept else torch.empty(0, dtype=torch.int64)
        labels = None if self.labels is None else self.labels[index]
        context = rows_of(self.context, index)
        return ResidentRows(x[:count], self.spec, labels, pick(self.ids, index), context).to(self.device)

    def _batches_ahead(self, batch_size: int) -> int:
        in_memory = IN_FLIGHT // (batch_size * self.spec.dimensions)
        return max(1, min(in_memory, self.workers + 2))

    def _submit(self, pool: ThreadPoolExecutor, index: Tensor) -> _Pending:
        pinned = self.device.type == "cuda"
        x = torch.empty((len(index), *self.spec.shape), dtype=torch.uint8, pin_memory=pinned)
        rows, pixels = index.tolist(), x.numpy()
        tasks = [
            pool.submit(self._decode, rows[at : at + PIECE], pixels[at : at + PIECE], at)
            for at in range(0, len(rows), PIECE)
        ]
        return _Pending(index, x, tasks)

    def _decode(self, rows: list[int], out: Pixels, first: int) -> dict[int, str]:
        """Decodes files into `out` (b, C, H, W); the positions in the batch that failed, with the reason."""
        failed: dict[int, str] = {}
        for i, row in enumerate(rows):
            try:
                out[i] = read_pixels(self.root / self.ids[row], self.preparation)
            except MemoryError:
                raise
            except Exception as error:  # broken files raise nearly anything
                failed[first + i] = f"{type(error).__name__}: {error}"
        return failed

    def _finish(self, pending: _Pending) -> Iterator[Batch]:
        failed: dict[int, str] = {}
        for task in pending.tasks:
            failed.update(task.result())
        x, index = pending.x, pending.index
        if failed:
            self._note({int(index[position]): reason for position, reason in failed.items()})
            good = torch.tensor([i for i in range(len(index)) if i not in failed], dtype=torch.int64)
            x, index = x[good], index[good]
        if len(index):
            pinned = x.is_pinned() if self.device.type == "cuda" else False
            context = {name: values.to(self.device) for name, values in rows_of(self.context, index).items()}
            yield Batch(x=x.to(self.device, non_blocking=pinned), context=context, index=index.to(self.device))

    def _note(self, failed: dict[int, str]) -> None:
        for row, reason in failed.items():
            if row not in self.broken and not self.quiet:
                warnings.warn(f"left out, as it cannot be read: {self.root / self.ids[row]} ({reason})", stacklevel=4)
            self.broken[row] = reason
        check_broken({self.ids[row]: reason for row, reason in self.broken.items()}, len(self), self.root)


def settle(splits: Sequence[StreamedRows], memory: int) -> tuple[list[Rows], tuple[str, ...]]:
    """The splits as tensors where together they fit into `memory` bytes, else as they are; remarks on broken files."""
    if sum(len(rows) * rows.spec.dimensions for rows in splits) > memory:
        return list(splits), ()
    resident: list[Rows] = [rows.resident() for rows in splits]
    broken = {rows.ids[row]: reason for rows in splits for row, reason in rows.broken.items()}
    return resident, check_broken(broken, sum(map(len, splits)), splits[0].root)


def check_broken(broken: dict[str, str], total: int, root: Path) -> tuple[str, ...]:
    """A remark that counts and names broken files (name → reason), or none.

    Raises `DataError` where more than a fifth of the files is broken.
    """
    if not broken:
        return ()
    shown = "".join(f"\n    {name}: {reason}" for name, reason in list(broken.items())[:5])
    more = f"\n    and {len(broken) - 5} more" if len(broken) > 5 else ""
    said = f"{root}: {len(broken)} of {total} image files cannot be read{shown}{more}"
    if len(broken) > MOST_BROKEN * total:
        raise DataError(f"{said}\n  expected at most {MOST_BROKEN:.0%} broken files.\n  fix: replace or delete them")
    return (f"{said}\n  they are left out",)
