"""The estimator: scikit-learn's own checks, and that its figures are what they say."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.stats import multivariate_normal
from sklearn.datasets import load_digits, load_wine
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from vaekit import VariationalAutoencoder


@parametrize_with_checks([VariationalAutoencoder(max_epochs=3)])
def test_sklearn_checks(estimator: VariationalAutoencoder, check: Any) -> None:
    check(estimator)


@pytest.fixture(scope="module")
def linear() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows of x = W z + b + ε with z of 2 dimensions, in units far from standard; and their mean and covariance."""
    random = np.random.default_rng(0)
    W = random.normal(size=(5, 2)) * np.array([[3.0], [0.1], [20.0], [1.0], [7.0]])
    noise = np.array([1.0, 0.05, 9.0, 0.4, 3.0])
    mean, covariance = np.array([10.0, 0.0, -300.0, 2.0, 50.0]), W @ W.T + np.diag(noise**2)
    return random.multivariate_normal(mean, covariance, size=3000), mean, covariance


def test_score_is_a_bound_in_the_units_of_the_data(linear: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    rows, mean, covariance = linear
    train, test = rows[:2400], rows[2400:]
    vae = VariationalAutoencoder(hidden_layer_sizes=(64,), max_epochs=60, random_state=0).fit(train)
    truth = multivariate_normal(mean, covariance).logpdf(test).mean()
    assert truth - 0.5 < vae.score(test) < truth + 0.1


def test_score_changes_with_units_as_a_density_does(linear: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    rows = linear[0][:400]
    scores = [VariationalAutoencoder(max_epochs=3, random_state=0).fit(rows * c).score(rows * c) for c in (1.0, 1000.0)]
    assert scores[0] - scores[1] == pytest.approx(5 * np.log(1000.0), abs=1e-3)


def test_more_importance_samples_give_a_higher_bound() -> None:
    rows = load_wine().data
    vae = VariationalAutoencoder(max_epochs=30, random_state=0).fit(rows)
    scores = [vae.set_params(n_importance_samples=k).score(rows) for k in (1, 16, 256)]
    assert scores == sorted(scores)


def test_samples_look_like_the_data(linear: tuple[np.ndarray, np.ndarray, np.ndarray]) -> None:
    rows, mean, covariance = linear
    vae = VariationalAutoencoder(hidden_layer_sizes=(64,), max_epochs=60, random_state=0).fit(rows)
    drawn = vae.sample(4000, random_state=1)
    assert np.allclose(drawn.mean(0), mean, atol=0.15 * np.sqrt(np.diag(covariance)))
    assert np.allclose(drawn.std(0), np.sqrt(np.diag(covariance)), rtol=0.2)
    assert np.array_equal(drawn, vae.sample(4000, random_state=1))


def test_binary_and_level_data() -> None:
    digits = load_digits().data
    binary = (digits > 7).astype(float)
    assert set(np.unique(VariationalAutoencoder(max_epochs=2, random_state=0).fit(binary).sample(20))) <= {0.0, 1.0}
    levels = VariationalAutoencoder(likelihood="categorical", levels=17, max_epochs=2, random_state=0).fit(digits)
    drawn = levels.sample(20)
    assert np.array_equal(drawn, np.round(drawn))
    assert drawn.min() >= 0
    assert drawn.max() <= 16
    assert levels.score(digits) < 0  # probabilities of integers, not densities


def test_reconstruction_beats_the_mean() -> None:
    rows = StandardScaler().fit_transform(load_wine().data)
    vae = VariationalAutoencoder(n_components=4, max_epochs=150, random_state=0).fit(rows)
    error = ((vae.inverse_transform(vae.transform(rows)) - rows) ** 2).mean()
    assert error < 0.7 * rows.var()


def test_in_a_pipeline_and_a_search() -> None:
    rows = load_wine().data
    pipeline = make_pipeline(StandardScaler(), VariationalAutoencoder(max_epochs=2, random_state=0))
    assert pipeline.fit_transform(rows).shape == (178, 2)
    search = GridSearchCV(VariationalAutoencoder(max_epochs=2, random_state=0), {"n_components": [1, 3]}, cv=2).fit(
        rows
    )
    assert search.best_params_["n_components"] in (1, 3)
    assert search.best_estimator_.get_feature_names_out()[0] == "variationalautoencoder0"


def test_wrong_latents_are_refused() -> None:
    vae = VariationalAutoencoder(max_epochs=1).fit(load_wine().data)
    with pytest.raises(ValueError, match=r"shape \(n, 2\)"):
        vae.inverse_transform(np.zeros((3, 5)))
