"""One training at a time in a run's directory."""

from __future__ import annotations

import errno
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from vaekit.engine.checkpoint import unwritable
from vaekit.errors import RunError

LOCK = "lock"


@contextmanager
def alone(directory: Path, doing: str = "trained") -> Iterator[None]:
    """Hold the directory for the block. The lock goes with the process, however that ends; the empty file stays.

    Raises `RunError` if another training holds it (two that write the same checkpoints would ruin each other's), or if
    nothing can be written there.
    """
    path = directory / LOCK
    try:
        file = open(path, "ab")  # noqa: SIM115
    except OSError as error:
        raise unwritable(path, error) from None
    with file:
        try:
            hold(file)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EACCES, errno.EDEADLK):
                another = (
                    f"begin another run from its weights: --init-from {directory}"
                    if doing == "trained"
                    else "another -o"
                )
                raise RunError(
                    f"{directory}: is being {doing} by another process.\n  fix: wait for it, or {another}"
                ) from None
            # A file system without locks (some that are mounted from a network): as before there were any.
        yield


if sys.platform == "win32":
    import msvcrt

    def hold(file: IO[bytes]) -> None:
        """Lock a file or raise `OSError`."""
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
else:
    import fcntl

    def hold(file: IO[bytes]) -> None:
        """Lock a file or raise `OSError`."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
