"""Variational autoencoders: from data to a trained, measured, usable model.

    import vaekit

    run = vaekit.train("digits")
    print(vaekit.evaluate(run))
    images = vaekit.generate(run, n=16).images

Names are loaded when they are first used, so that `import vaekit` is quick and has no side effects.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "train": "vaekit.tasks.train",
    "resume": "vaekit.tasks.train",
    "load": "vaekit.run",
    "Run": "vaekit.run",
    "evaluate": "vaekit.tasks.evaluate",
    "detect": "vaekit.tasks.detect",
    "calibrate": "vaekit.tasks.calibrate",
    "generate": "vaekit.tasks.generate",
    "reconstruct": "vaekit.tasks.reconstruct",
    "interpolate": "vaekit.tasks.interpolate",
    "traverse": "vaekit.tasks.traverse",
    "tune": "vaekit.tasks.tune",
    "embed": "vaekit.tasks.embed",
    "decode": "vaekit.tasks.decode",
    "edit": "vaekit.tasks.edit",
    "attribute": "vaekit.tasks.attribute",
    "compare": "vaekit.tasks.compare",
    "doctor": "vaekit.tasks.doctor",
    "cite": "vaekit.tasks.cite",
    "report": "vaekit.report",
    "AnomalyDetector": "vaekit.estimators.anomaly",
    "PyODDetector": "vaekit.estimators.pyod",
    "VariationalAutoencoder": "vaekit.estimators.autoencoder",
    "Batch": "vaekit.core",
    "Bound": "vaekit.core",
    "DataSpec": "vaekit.core",
    "Given": "vaekit.core",
    "Trace": "vaekit.core",
    "VAE": "vaekit.model",
    "Group": "vaekit.model",
    "Encoder": "vaekit.model",
    "VaekitError": "vaekit.errors",
}

__all__ = [
    "VAE",
    "AnomalyDetector",
    "Batch",
    "Bound",
    "DataSpec",
    "Encoder",
    "Given",
    "Group",
    "PyODDetector",
    "Run",
    "Trace",
    "VaekitError",
    "VariationalAutoencoder",
    "__version__",
    "attribute",
    "calibrate",
    "cite",
    "compare",
    "decode",
    "detect",
    "doctor",
    "edit",
    "embed",
    "evaluate",
    "generate",
    "interpolate",
    "load",
    "reconstruct",
    "report",
    "resume",
    "train",
    "traverse",
    "tune",
]


def __getattr__(name: str) -> Any:
    """Load a public name from its module when it is first asked for (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'vaekit' has no attribute '{name}'")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from vaekit.core import Batch, Bound, DataSpec, Given, Trace
    from vaekit.errors import VaekitError
    from vaekit.estimators.anomaly import AnomalyDetector
    from vaekit.estimators.autoencoder import VariationalAutoencoder
    from vaekit.estimators.pyod import PyODDetector
    from vaekit.model import VAE, Encoder, Group
    from vaekit.report import report
    from vaekit.run import Run, load
    from vaekit.tasks.attribute import attribute
    from vaekit.tasks.calibrate import calibrate
    from vaekit.tasks.cite import cite
    from vaekit.tasks.compare import compare
    from vaekit.tasks.decode import decode
    from vaekit.tasks.detect import detect
    from vaekit.tasks.doctor import doctor
    from vaekit.tasks.edit import edit
    from vaekit.tasks.embed import embed
    from vaekit.tasks.evaluate import evaluate
    from vaekit.tasks.generate import generate
    from vaekit.tasks.interpolate import interpolate
    from vaekit.tasks.reconstruct import reconstruct
    from vaekit.tasks.train import resume, train
    from vaekit.tasks.traverse import traverse
    from vaekit.tasks.tune import tune
