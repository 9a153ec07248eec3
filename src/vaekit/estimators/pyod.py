"""The detector by PyOD's convention: high scores are abnormal, 1 is an outlier."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from vaekit.errors import MissingExtraError
from vaekit.estimators.anomaly import AnomalyDetector

try:
    from pyod.models.base import BaseDetector
    from sklearn.utils.validation import check_is_fitted
except ImportError:
    raise MissingExtraError("pyod", "pyod", "vaekit.PyODDetector") from None


class PyODDetector(BaseDetector):
    """`AnomalyDetector` as a `pyod.models.base.BaseDetector`, for PyOD's tools and ensembles.

    Parameters
    ----------
    contamination : float in (0, 0.5], default=0.1
        The share of abnormal rows among the training rows: PyOD's threshold. As in PyOD it does not change the training.
    n_models, scores, n_components, hidden_layer_sizes, betas, df, steps, batch_size, learning_rate, random_state
        As in `AnomalyDetector`.

    Attributes
    ----------
    detector_ : AnomalyDetector
        The fitted detector.
    decision_scores_, threshold_, labels_
        As in every detector of PyOD, for the training rows.

    Examples
    --------
    >>> import numpy as np
    >>> from vaekit import PyODDetector
    >>> X = np.random.default_rng(0).normal(size=(200, 3))
    >>> detector = PyODDetector(n_models=1, steps=50, random_state=0).fit(X)
    >>> int(detector.labels_.sum()), detector.predict_proba(X).shape
    (20, (200, 2))
    """

    def __init__(
        self,
        contamination: float = 0.1,
        n_models: int = 4,
        scores: str = "exemplar+error",
        n_components: int | None = None,
        hidden_layer_sizes: Sequence[int] = (64, 64),
        betas: Sequence[float] = (1.0, 0.1),
        df: float = 2.0,
        steps: int = 1500,
        batch_size: int = 128,
        learning_rate: float = 2e-3,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        super().__init__(contamination=contamination)
        self.n_models = n_models
        self.scores = scores
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.betas = betas
        self.df = df
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Learn what the rows of X, (n, columns), are usually like. `y` is ignored."""
        self._set_n_classes(y)
        settings = {name: value for name, value in self.get_params().items() if name != "contamination"}
        self.detector_ = AnomalyDetector(**settings).fit(X)
        self.decision_scores_ = -self.detector_.score_samples(X)
        self._process_decision_scores()
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """How abnormal each row is, (n,): high is abnormal, as everywhere in PyOD."""
        check_is_fitted(self, "detector_")
        found: NDArray[np.float64] = -self.detector_.score_samples(X)
        return found
