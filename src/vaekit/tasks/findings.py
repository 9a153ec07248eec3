"""What the doctor says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from vaekit.tasks.records import plain

Severity = Literal["note", "warning", "problem"]
ORDER: tuple[Severity, ...] = ("problem", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """Something about a run that its owner should know, in plain words, with the figures that it rests on."""

    name: str
    severity: Severity  # problem: results are not to be trusted; warning: they could be better; note: good to know
    what: str
    why: str
    fix: str
    figures: Mapping[str, float]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values: dict[str, Any] = plain(self)
        return values

    def __str__(self) -> str:
        return f"{self.severity}: {self.what}\n  why: {self.why}\n  fix: {self.fix}"


@dataclass(frozen=True)
class Diagnosis:
    """All findings, the gravest first; what was looked at; and what could not be, and why. Iterates over the findings."""

    findings: tuple[Finding, ...]
    looked_at: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        values: dict[str, Any] = plain(self)
        return values
