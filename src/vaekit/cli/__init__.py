"""The command line: parse, call a task, print.

Heavy modules (torch and all that needs it) are imported inside the commands, so that help comes at once.
"""

from vaekit.cli.application import app, main

__all__ = ["app", "main"]
