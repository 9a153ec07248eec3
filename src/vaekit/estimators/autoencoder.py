"""The scikit-learn face of the library: one estimator with flat parameters."""

from __future__ import annotations

import warnings
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from vaekit.build import build_model, build_objective, mean_of
from vaekit.config import Config
from vaekit.core import Batch, DataSpec, Given, Latent, Trace
from vaekit.data import from_arrays
from vaekit.data.dataset import Dataset
from vaekit.distributions import central
from vaekit.engine.fit import fit
from vaekit.errors import MissingExtraError
from vaekit.model import VAE, Group
from vaekit.recipes import resolve

try:
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin, _fit_context
    from sklearn.utils import check_random_state
    from sklearn.utils._param_validation import Interval, StrOptions
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError:
    raise MissingExtraError("scikit-learn", "sklearn", "vaekit.VariationalAutoencoder") from None

Array = NDArray[np.float64]
MIN_ROWS_TO_HOLD_OUT = 20  # with fewer, all rows are trained on and the last weights are kept


class VariationalAutoencoder(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """A variational autoencoder for rows of numbers, as a scikit-learn transformer and density model.

    Continuous columns are standardized and modelled by a normal likelihood with a learned scale; data that is all 0 and 1
    by a Bernoulli. Figures are in nats per row, in the data's own units. Fitted models compute in float64.

    Parameters
    ----------
    n_components : int, default=2
        Dimensions of the latent space.
    hidden_layer_sizes : tuple of int, default=(128, 128)
        Widths of the encoder's layers; the decoder has them in reverse.
    likelihood : {"auto", "gaussian", "bernoulli", "logistic", "categorical"}, default="auto"
        p(x | z). "auto" is bernoulli for data that is all 0 and 1, else gaussian. The last two need `levels`.
    levels : int or None, default=None
        For integers 0 ... levels - 1: how many levels there are. None: the values are continuous, or all 0 and 1.
    beta : float, default=1.0
        Weight of the KL in the loss. `score` is always the plain bound.
    learning_rate : float, default=0.002
        Of Adam with decoupled weight decay, at the start of a cosine schedule.
    batch_size : int, default=128
        Rows a step; at most all of them.
    max_epochs : int, default=100
        Passes over the training rows.
    validation_fraction : float, default=0.1
        Rows held out to choose the best weights; 0, or fewer than 20 rows in all: the last weights are kept.
    n_epochs_no_change : int or None, default=None
        Stop after so many epochs without a better held-out bound; None: never.
    n_importance_samples : int, default=64
        Samples a row in `score_samples`.
    random_state : int, RandomState instance or None, default=None
        Seeds the split, the initial weights and all noise.

    Attributes
    ----------
    model_ : VAE
        The fitted model.
    spec_ : DataSpec
        What the data is.
    history_ : list of dict
        A record an epoch, with training and held-out bounds.
    n_features_in_ : int
        Columns seen in `fit`.

    Examples
    --------
    >>> import numpy as np
    >>> from vaekit import VariationalAutoencoder
    >>> X = np.random.default_rng(0).normal(size=(200, 5))
    >>> vae = VariationalAutoencoder(max_epochs=2, random_state=0).fit(X)
    >>> vae.transform(X).shape, vae.sample(3).shape, vae.score_samples(X).shape
    ((200, 2), (3, 5), (200,))
    """

    _parameter_constraints: ClassVar[dict[str, Any]] = {
        "n_components": [Interval(Integral, 1, None, closed="left")],
        "hidden_layer_sizes": ["array-like"],
        "likelihood": [StrOptions({"auto", "gaussian", "bernoulli", "logistic", "categorical"})],
        "levels": [Interval(Integral, 2, 256, closed="both"), None],
        "beta": [Interval(Real, 0, None, closed="left")],
        "learning_rate": [Interval(Real, 0, None, closed="neither")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "max_epochs": [Interval(Integral, 1, None, closed="left")],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "n_epochs_no_change": [Interval(Integral, 1, None, closed="left"), None],
        "n_importance_samples": [Interval(Integral, 1, None, closed="left")],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        n_components: int = 2,
        hidden_layer_sizes: tuple[int, ...] = (128, 128),
        likelihood: str = "auto",
        levels: int | None = None,
        beta: float = 1.0,
        learning_rate: float = 2e-3,
        batch_size: int = 128,
        max_epochs: int = 100,
        validation_fraction: float = 0.1,
        n_epochs_no_change: int | None = None,
        n_importance_samples: int = 64,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.n_components = n_components
        self.hidden_layer_sizes = hidden_layer_sizes
        self.likelihood = likelihood
        self.levels = levels
        self.beta = beta
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.validation_fraction = validation_fraction
        self.n_epochs_no_change = n_epochs_no_change
        self.n_importance_samples = n_importance_samples
        self.random_state = random_state

    @_fit_context(prefer_skip_nested_validation=True)  # type: ignore[untyped-decorator]
    def fit(self, X: ArrayLike, y: object = None) -> Self:
        """Fit to the rows of X, (n, columns). `y` is ignored."""
        rows = self._checked(X, reset=True)
        seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        data = self._dataset(rows, seed)
        config = self._config(data.spec, seed)
        model = build_model(config, data.spec, mean_of(data.train))
        fitted = fit(model, build_objective(config), data, config.train)
        if fitted.reason == "interrupted":
            warnings.warn("fitting was interrupted: the model is what was learned so far", stacklevel=2)
        self.model_: VAE = fitted.model.double()
        self.spec_, self.history_, self._seed = data.spec, fitted.history, seed
        return self

    def transform(self, X: ArrayLike) -> Array:
        """The posterior means of the rows, (n, n_components)."""
        batch = self._prepared(X)
        with torch.inference_mode():
            q = self._infer(batch, None).latents[0].q
        assert q is not None, "a fitted model infers"
        return self._array(q.mean)

    def inverse_transform(self, X: ArrayLike) -> Array:
        """Latent points (n, n_components) → central values of p(x | z) in the data's units, (n, columns)."""
        check_is_fitted(self)
        z = np.asarray(X, dtype=np.float64)
        if z.ndim != 2 or z.shape[1] != self.n_components:
            raise ValueError(f"expected latents of shape (n, {self.n_components}), got {z.shape}")
        return self._decoded(torch.from_numpy(z.copy()), draw=False)

    def sample(self, n_samples: int = 1, random_state: int | np.random.RandomState | None = None) -> Array:
        """New rows from the model, (n_samples, columns), noise of the likelihood included."""
        check_is_fitted(self)
        generator = self._generator(random_state)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(generator)
            return self._decoded(torch.randn(n_samples, self.n_components, dtype=torch.float64), draw=True)

    def score_samples(self, X: ArrayLike) -> Array:
        """A lower bound of log p(x) in nats for each row, (n,): importance-weighted, `n_importance_samples` samples.

        Every row is scored with the same noise, so that a row's score does not depend on the rows beside it.

        References: Burda, Grosse, Salakhutdinov (2016), Importance weighted autoencoders.
        """
        batch = self._prepared(X)
        noise = torch.Generator().manual_seed(self._seed)
        shape = (self.n_importance_samples, 1, self.n_components)
        with torch.inference_mode():
            draws = torch.randn(shape, generator=noise, dtype=torch.float64)
            ratios = torch.stack([self._infer(batch, draw).log_ratio()[0] for draw in draws])  # (K, n)
        return self._array(ratios.logsumexp(0) - np.log(len(ratios)))

    def score(self, X: ArrayLike, y: object = None) -> float:
        """The mean of `score_samples`, in nats per row."""
        return float(self.score_samples(X).mean())

    # --- within ------------------------------------------------------------------------------------------------------

    def _checked(self, X: ArrayLike, reset: bool) -> Array:
        checked: Array = validate_data(self, X, reset=reset, dtype=np.float64, ensure_min_samples=2 if reset else 1)
        return checked

    def _dataset(self, rows: Array, seed: int) -> Dataset:
        held_out = self.validation_fraction if len(rows) >= MIN_ROWS_TO_HOLD_OUT else 0.0
        binary = self.likelihood == "bernoulli" or (self.likelihood == "auto" and np.isin(rows, (0.0, 1.0)).all())
        levels = self.levels or (2 if binary else None)
        return from_arrays(rows.astype(np.float32), validation=held_out, test=0, seed=seed, name="X", levels=levels)

    def _config(self, spec: DataSpec, seed: int) -> Config:
        likelihood = self.likelihood
        if likelihood == "auto":
            likelihood = "gaussian" if spec.levels is None else "bernoulli" if spec.levels == 2 else "logistic"
        widths = [int(width) for width in self.hidden_layer_sizes]
        return resolve(
            {
                "data": {"name": "array", "path": None},
                "model": {
                    "latent": int(self.n_components),
                    "encoder": {"name": "mlp", "hidden": widths},
                    "decoder": {"name": "mlp", "hidden": widths[::-1]},
                    "likelihood": likelihood,
                },
                "objective": {"name": "elbo", "beta": float(self.beta)},
                "train": {
                    "epochs": int(self.max_epochs),
                    "batch_size": int(self.batch_size),
                    "lr": float(self.learning_rate),
                    "patience": int(self.n_epochs_no_change or 0),
                    "precision": "float32",
                    "device": "cpu",
                    "seed": seed,
                },
            }
        )

    def _prepared(self, X: ArrayLike) -> Batch:
        check_is_fitted(self)
        rows = torch.from_numpy(self._checked(X, reset=False).copy())
        batch: Batch = self.model_.likelihood.prepare(Batch(rows), torch.Generator().manual_seed(self._seed))
        assert isinstance(batch.x, Tensor), "rows of numbers are one tensor"
        return Batch(batch.x.double(), log_det=batch.log_det)

    def _infer(self, batch: Batch, noise: Tensor | None) -> Trace:
        """One pass with z = μ + σ·noise, the same noise (1, d) for every row; without noise, z = μ."""

        def choose(group: Group, p: Any, given: Given) -> Latent:
            q = group.posterior(given).q
            z = q.mean if noise is None else q.mean + q.stddev * noise
            return Latent(group.name, z, p, q)

        given, latents = self.model_.unroll(self.model_.given(batch), choose)
        return Trace(batch, latents, self.model_.likelihood(given.without_evidence()), samples=1)

    def _decoded(self, z: Tensor, draw: bool) -> Array:
        with torch.inference_mode():
            p = self.model_.decode({"z": z})
            x = p.sample() if draw else central(p)
            assert isinstance(x, Tensor), "rows of numbers are one tensor"
            return self._array(self.model_.likelihood.restore(x.double()))

    def _generator(self, random_state: int | np.random.RandomState | None) -> int:
        chosen = self.random_state if random_state is None else random_state
        return int(check_random_state(chosen).randint(2**31 - 1))

    @staticmethod
    def _array(values: Tensor) -> Array:
        return values.numpy().astype(np.float64)

    @property
    def _n_features_out(self) -> int:
        """For names of the output columns."""
        return self.n_components
