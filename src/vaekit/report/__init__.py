"""The report of a run: one HTML file that explains itself."""

import sys
from types import ModuleType
from typing import Any

from vaekit.report.page import report


class _Report(ModuleType):
    """`vaekit.report(run)` also works after `import vaekit.report`, which puts this module in the function's place."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        return report(*args, **options)


sys.modules[__name__].__class__ = _Report

__all__ = ["report"]
