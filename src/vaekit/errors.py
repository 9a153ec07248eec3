"""The exception tree: every message says what was expected, what came, and the likely fix.

`VaekitError` is what a user may see; the command line prints it without a traceback and exits with code 2.
Our own invariants are `assert`s, not exceptions.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class VaekitError(Exception):
    """Anything the user can mend. Subclasses say where: configuration, data, a run directory, training."""


class ConfigError(VaekitError, ValueError):
    """The configuration is wrong: an unknown name or key, a value of the wrong type or out of range."""


class DataError(VaekitError, ValueError):
    """The data is missing, unreadable, malformed, or outside the likelihood's domain."""


class RunError(VaekitError, ValueError):
    """A run directory is missing, incomplete, of a newer version, or tampered with; or would be overwritten."""


class TrainingError(VaekitError, RuntimeError):
    """Training cannot go on: non-finite losses beyond the allowed number, or out of memory."""


class MissingExtraError(VaekitError, ImportError):
    """An optional dependency is missing; the message names the extra that brings it."""

    def __init__(self, package: str, extra: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package '{package}', which is not installed.\n  fix: pip install 'vaekit[{extra}]'"
        )


def near(name: str, known: Iterable[str]) -> str:
    """A suggestion for a mistyped name: `" (did you mean 'conv'?)"`, or the empty string.

    >>> near("digts", ["digits", "mnist"])
    " (did you mean 'digits'?)"
    """
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""
