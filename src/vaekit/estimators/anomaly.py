"""A detector of abnormal rows by scikit-learn's outlier convention: high scores are normal, −1 is an outlier."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from vaekit.build import build_model, build_objective, mean_of
from vaekit.config import Config
from vaekit.core import DataSpec
from vaekit.data import from_arrays
from vaekit.data.dataset import Dataset, Preparation, Rows
from vaekit.data.resident import ResidentRows
from vaekit.data.values import prepare
from vaekit.engine.fit import fit
from vaekit.errors import ConfigError, DataError, MissingExtraError
from vaekit.metrics.abnormality import parse
from vaekit.metrics.conformal import discoveries, threshold
from vaekit.metrics.detector import Detector, codes_of, others, scan
from vaekit.metrics.reasons import Reasons
from vaekit.model import VAE
from vaekit.recipes import resolve

try:
    from sklearn.base import BaseEstimator, OutlierMixin, _fit_context
    from sklearn.utils import check_random_state
    from sklearn.utils._param_validation import Interval, StrOptions
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise MissingExtraError("scikit-learn", "sklearn", "vaekit.AnomalyDetector") from None

Array = NDArray[np.float64]
MIN_ROWS_TO_HOLD_OUT = 100  # with fewer, the training rows themselves are what scores are compared with
LEAST_HELD_OUT = 20  # rows, so that 5 % of them is one
FALSE_ALARMS = 0.05  # share of normal rows above the threshold, where nothing is said of contamination


class AnomalyDetector(OutlierMixin, BaseEstimator):
    """A few small variational autoencoders that learn what rows of numbers are usually like, and say which are not.

    Columns are standardized and modelled by Student's t, whose heavy tails keep stray values from ruling the training. Half
    of the models weigh the KL by 0.1: they code more of a row, and see other anomalies. A row's score is the sum of two, each
    averaged over the models and then standardized by training rows: `exemplar`, −log p(x | z) − log q̄(z), which is high where
    a row is explained badly or its code lies where training rows have few; and `error`, the squared error of the
    reconstruction. This default was chosen on eleven tables of ADBench and judged on eleven others: see `benchmarks/anomaly`.

    Some training rows are held out and calibrate the scores: `p_values` are valid for rows that are exchangeable with them.

    Parameters
    ----------
    n_models : int, default=4
        How many models are averaged.
    scores : str, default="exemplar+error"
        A score, or several joined by `+`: see `vaekit detect --help`.
    n_components : int or None, default=None
        Dimensions of the latent space; None: half the columns, at least 2 and at most 16.
    hidden_layer_sizes : tuple of int, default=(64, 64)
        Widths of the encoder's layers; the decoder has them in reverse, and a linear path besides.
    betas : tuple of float, default=(1.0, 0.1)
        Weights of the KL in the loss; the models take them in turn.
    df : float, default=2.0
        Degrees of freedom of Student's t: lower, heavier tails.
    steps : int, default=1500
        Updates of the weights of each model.
    batch_size : int, default=128
        Rows a step; at most all of them.
    learning_rate : float, default=0.002
        Of Adam with decoupled weight decay, at the start of a cosine schedule.
    contamination : "auto" or float in (0, 0.5], default="auto"
        The share of abnormal rows among the training rows. "auto": they are taken as normal, and the threshold is one that
        5 % of normal rows exceed. A number: so many of the training rows are outliers, and as many rows with the lowest
        bounds are left out of every step (trimmed likelihood), so that they do not shape the models.
    calibration_fraction : float, default=0.1
        Rows held out from training for p-values, at least 20; 0, or fewer than 100 rows in all: the training rows serve,
        and p-values are a little too low.
    random_state : int, RandomState instance or None, default=None
        Seeds the split, the initial weights and all noise.

    Attributes
    ----------
    detector_ : Detector
        The fitted models with what scores are compared with.
    offset_ : float
        `decision_function` is `score_samples` minus this.
    spec_ : DataSpec
        What the data is.
    n_features_in_ : int
        Columns seen in `fit`.

    References
    ----------
    An, Cho (2015), Variational autoencoder based anomaly detection using reconstruction probability.
    Norouzi, Fleet, Norouzi (2020), Exemplar VAEs. Hadi, Luceño (1997), Maximum trimmed likelihood estimators.
    Bates, Candès, Lei, Romano, Sesia (2023), Testing for outliers with conformal p-values.

    Examples
    --------
    >>> import numpy as np
    >>> from vaekit import AnomalyDetector
    >>> X = np.random.default_rng(0).normal(size=(300, 4))
    >>> detector = AnomalyDetector(n_models=2, steps=100, random_state=0).fit(X)
    >>> detector.predict([[0.0, 0.0, 0.0, 0.0], [9.0, -9.0, 9.0, -9.0]]).tolist()
    [1, -1]
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_models": [Interval(Integral, 1, None, closed="left")],
        "scores": [str],
        "n_components": [Interval(Integral, 1, None, closed="left"), None],
        "hidden_layer_sizes": ["array-like"],
        "betas": ["array-like"],
        "df": [Interval(Real, 0, None, closed="neither")],
        "steps": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "contamination": [StrOptions({"auto"}), Interval(Real, 0, 0.5, closed="right")],
        "calibration_fraction": [Interval(Real, 0, 1, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_models: int = 4,
        scores: str = "exemplar+error",
        n_components: int | None = None,
        hidden_layer_sizes: Sequence[int] = (64, 64),
        betas: Sequence[float] = (1.0, 0.1),
        df: float = 2.0,
        steps: int = 1500,
        batch_size: int = 128,
        learning_rate: float = 2e-3,
        contamination: str | float = "auto",
        calibration_fraction: float = 0.1,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_models = n_models
        self.scores = scores
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.betas = betas
        self.df = df
        self.steps = steps
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.contamination = contamination
        self.calibration_fraction = calibration_fraction
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Learn what the rows of X, (n, columns), are usually like. `y` is ignored."""
        rows = self._checked(X, reset=True)
        recipe = parse(self.scores)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        self._place, self._unit = place_and_unit(rows)
        data = self._dataset(self._scaled(rows), seed)
        self.spec_: DataSpec = data.spec
        models = []
        for number in range(self.n_models):
            config = self._config(number, seed)
            fitted = fit(
                build_model(config, data.spec, mean_of(data.train)), build_objective(config), data, config.train
            )
            models.append(fitted.model.double())
            if fitted.reason == "interrupted":
                warnings.warn(f"fitting was interrupted: {len(models)} of {self.n_models} models", stacklevel=2)
                break
        abnormal = 0.0 if isinstance(self.contamination, str) else float(self.contamination)
        training = usual_rows(models, data.train, abnormal, seed)
        codes = [codes_of(model, training, seed) for model in models]
        normal = data.validation if len(data.validation) else data.train
        parts = scan(models, codes, normal, recipe.names, seed=seed).parts
        reference = scan(models, codes, training, recipe.names, others(len(training)), seed=seed).parts
        self.detector_ = Detector(models, recipe, codes, parts, reference, seed=seed).without(abnormal)
        self.offset_ = self._offset(rows)
        return self

    def score_samples(self, X: ArrayLike) -> Array:
        """How normal each row is, (n,): high is normal, as everywhere in scikit-learn."""
        parts = self._scanned(X)
        return -self.detector_.score(parts).numpy()

    def decision_function(self, X: ArrayLike) -> Array:
        """`score_samples` minus the threshold, (n,): negative for outliers."""
        found: Array = self.score_samples(X) - self.offset_
        return found

    def predict(self, X: ArrayLike) -> NDArray[np.int64]:
        """1 for normal rows, −1 for outliers, (n,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)

    def p_values(self, X: ArrayLike) -> Array:
        """How likely a normal row is to score so high, (n,): split-conformal, valid for rows like those held out."""
        parts = self._scanned(X)
        return self.detector_.p_values(parts).numpy()

    def discoveries(self, X: ArrayLike, fdr: float = 0.05) -> NDArray[np.bool_]:
        """The rows that are abnormal while at most a share `fdr` of them is expected to be normal, (n,)."""
        return discoveries(torch.from_numpy(self.p_values(X)), fdr).numpy()

    def explain(self, X: ArrayLike, n_columns: int = 3) -> Reasons:
        """The columns whose repair would make each row most usual, and what was expected of them, (n, n_columns) each.

        Tensors: `column` (−1: no further reason), `nats`, `value`, `expected`, the last two in the units of X.
        """
        rows = self._rows(X)
        found = self.detector_.reasons(rows, torch.arange(len(rows)), n_columns)
        place, unit = (torch.from_numpy(part)[found.column.clamp(min=0)] for part in (self._place, self._unit))
        return replace(found, value=found.value * unit + place, expected=found.expected * unit + place)

    def calibrate(self, X: ArrayLike) -> Self:
        """Compare with other normal rows from now on, which the models were not trained on; nothing is trained.

        The threshold becomes one that 5 % of them exceed.
        """
        rows = self._rows(X)
        self.detector_ = replace(self.detector_, normal=self.detector_.scan(rows).parts)
        self.offset_ = -threshold(self.detector_.calibration, FALSE_ALARMS)
        return self

    # --- within ------------------------------------------------------------------------------------------------------

    def _checked(self, X: ArrayLike, reset: bool) -> Array:
        checked: Array = validate_data(self, X, reset=reset, dtype=np.float64, ensure_min_samples=2 if reset else 1)
        return checked

    def _dataset(self, rows: NDArray[np.float32], seed: int) -> Dataset:
        held_out = 0.0
        if self.calibration_fraction and len(rows) >= MIN_ROWS_TO_HOLD_OUT:
            held_out = max(LEAST_HELD_OUT, int(self.calibration_fraction * len(rows)))
        return from_arrays(rows, validation=held_out, test=0, seed=seed, name="X")

    def _scaled(self, rows: Array) -> NDArray[np.float32]:
        """Rows about zero and one, before they lose digits: a date in seconds has none left in single precision."""
        with np.errstate(over="ignore"):  # what does not fit is refused in words
            return ((rows - self._place) / self._unit).astype(np.float32)

    def _config(self, number: int, seed: int) -> Config:
        columns, widths = self.spec_.dimensions, [int(width) for width in self.hidden_layer_sizes]
        trim = 0.0 if isinstance(self.contamination, str) else float(self.contamination)
        betas = [float(beta) for beta in self.betas]
        if not betas or not widths:
            raise ConfigError("betas, hidden_layer_sizes: expected at least one number each, got none")
        return resolve(
            {
                "data": {"name": "array", "path": None},
                "model": {
                    "latent": int(self.n_components or min(16, max(2, columns // 2))),
                    "encoder": {"name": "mlp", "hidden": widths},
                    "decoder": {"name": "mlp", "hidden": widths[::-1], "skip": True},
                    "likelihood": {"name": "student_t", "df": float(self.df), "sigma": 0.6},
                },
                "objective": {"name": "elbo", "beta": betas[number % len(betas)], "trim": trim},
                "train": {
                    "epochs": None,
                    "steps": int(self.steps),
                    "batch_size": int(self.batch_size),
                    "lr": float(self.learning_rate),
                    "lr_warmup": int(self.steps) // 10,
                    "clip": 50.0,
                    "validate_every": 0,
                    "precision": "float32",
                    "device": "cpu",
                    "seed": (seed + number) % 2**31,
                },
            }
        )

    def _offset(self, rows: Array) -> float:
        """The score of the row at which outliers begin, with the training rows in hand."""
        if isinstance(self.contamination, str):
            return -threshold(self.detector_.calibration, FALSE_ALARMS)
        found = self.detector_.score(self.detector_.scan(self._resident(rows)).parts)
        return float(np.percentile(-found.numpy(), 100.0 * self.contamination))

    def _rows(self, X: ArrayLike) -> ResidentRows:
        check_is_fitted(self)
        return self._resident(self._checked(X, reset=False))

    def _resident(self, rows: Array) -> ResidentRows:
        return ResidentRows(prepare(self._scaled(rows), Preparation(self.spec_.shape), "X"), self.spec_)

    def _scanned(self, X: ArrayLike) -> torch.Tensor:
        rows = self._rows(X)
        return self.detector_.scan(rows).parts


def usual_rows(models: Sequence[VAE], rows: Rows, abnormal: float, seed: int) -> Rows:
    """The training rows without the share that has the lowest bounds: what is abnormal shall not be what others are like."""
    if not abnormal:
        return rows
    cost = scan(models, [None] * len(models), rows, ("elbo",), seed=seed).parts[:, 0]
    return rows.select(cost.argsort(stable=True)[: max(2, round(len(rows) * (1 - abnormal)))].sort().values)


def place_and_unit(rows: Array) -> tuple[Array, Array]:
    """The mean and the deviation of each column, one for constant columns, (d,) each. Raises `DataError` for huge values."""
    with np.errstate(over="ignore"):  # what does not fit is refused in words
        place, unit = rows.mean(0), rows.std(0)
    if not np.isfinite(unit).all():
        column = int(np.flatnonzero(~np.isfinite(unit))[0])
        largest = np.abs(rows[:, column]).max()
        raise DataError(f"X: expected finite numbers that can be squared, got {largest:.3g} in column {column}")
    return place, np.where(unit > 0, unit, 1.0)
