"""Taking turns: a contender trains one epoch when told to, and says how long it took; in between it sleeps.

The orchestrator writes a line to a contender's standard input for every turn, and reads a line of JSON in answer. A contender
that owns its loop calls `Turns.ended_epoch` from it; one whose loop is closed (`vaekit`, pythae) calls it from a hook.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


class Turns:
    """The contender's side. Standard output is kept for the answers: what else is printed goes to standard error."""

    def __init__(self) -> None:
        self.answers = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self.began = 0.0

    def ready(self, **facts: Any) -> None:
        """All is loaded and built; waits for the first turn, which begins the first epoch."""
        self.answer(facts)

    def ended_epoch(self) -> None:
        """An epoch is over; waits for the next turn."""
        self.answer({"seconds": time.perf_counter() - self.began})

    def answer(self, record: dict[str, Any]) -> None:
        """Say something and wait for the next turn."""
        self.answers.write(json.dumps(record) + "\n")
        if not sys.stdin.readline():
            sys.exit("the benchmark was broken off")
        self.began = time.perf_counter()

    def held_out(self, elbo_nats: float, stderr: float) -> None:
        """The last answer: the ELBO on the held-out images after all epochs."""
        self.answers.write(json.dumps({"elbo_nats": elbo_nats, "stderr": stderr}) + "\n")


class Contender:
    """The orchestrator's side: a fresh process that takes turns."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.name, self.log = name, log
        with open(log, "wb") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                env=environment,
                cwd=log.parent,
                text=True,
            )

    def turn(self) -> dict[str, Any]:
        """Let it go on; returns what it says at the end of its turn."""
        self.tell()
        return self.hear()

    def tell(self) -> None:
        """Give it a turn."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """Wait for its answer. Raises `RuntimeError` with the end of its log where it has died."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.name} has ended:\n{self.log.read_text(errors='replace')[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the process; it has nothing more to say."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
