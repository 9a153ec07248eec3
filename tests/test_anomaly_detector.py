"""The detector: scikit-learn's own checks, what it finds, and that its figures are what they say; PyOD's face of it."""

from __future__ import annotations

import pickle
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.metrics import roc_auc_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from vaekit import AnomalyDetector
from vaekit.errors import ConfigError, DataError

Array = NDArray[np.float64]
SMALL: dict[str, Any] = {"n_models": 1, "steps": 300, "hidden_layer_sizes": (16,), "random_state": 0}
QUICK: dict[str, Any] = SMALL | {"steps": 20}


@parametrize_with_checks([AnomalyDetector(n_models=1, steps=20, hidden_layer_sizes=(8,))])
def test_sklearn_checks(estimator: AnomalyDetector, check: Any) -> None:
    check(estimator)


def table(n: int, seed: int) -> Array:
    """Rows of six columns that depend on two factors, in units far from each other."""
    random = np.random.default_rng(seed)
    factors = np.random.default_rng(99).normal(size=(2, 6))
    x: Array = random.normal(size=(n, 2)) @ factors + 0.2 * random.normal(size=(n, 6))
    return x * [1, 10, 100, 0.01, 1, 5] + [0, 5, -300, 1, 2, 0]


def spoilt(n: int, sigmas: float) -> tuple[Array, NDArray[np.int64]]:
    """Rows with one wrong column each, and which."""
    x, column = table(n, 1), np.arange(n) % 6
    x[np.arange(n), column] += sigmas * x.std(0)[column]
    return x, column


@pytest.fixture(scope="module")
def detector() -> AnomalyDetector:
    return AnomalyDetector(**SMALL).fit(table(1500, 0))


# --- what it finds ---------------------------------------------------------------------------------------------------


def test_wrong_rows_are_found(detector: AnomalyDetector) -> None:
    wrong, usual = spoilt(100, 5)[0], table(100, 3)
    assert (detector.predict(wrong) == -1).all()
    assert (detector.predict(usual) == 1).mean() > 0.85
    found = detector.discoveries(np.concatenate([usual, wrong]), fdr=0.1)
    assert found[100:].mean() > 0.9 and found[:100].sum() <= 0.25 * found.sum()
    assert found.dtype == bool and (detector.discoveries(usual, fdr=0.001)).sum() == 0


def test_a_planted_outlier_has_the_lowest_score() -> None:
    rows = table(200, 0)
    rows[17] = [3, -30, 20, 0.9, -7, 40]
    found = AnomalyDetector(**SMALL, contamination=0.01).fit(rows)
    assert found.score_samples(rows).argmin() == 17 and found.predict(rows)[17] == -1


def test_the_four_methods_agree(detector: AnomalyDetector) -> None:
    rows = np.concatenate([table(60, 4), spoilt(20, 5)[0]])
    scores = detector.score_samples(rows)
    assert np.array_equal(detector.decision_function(rows), scores - detector.offset_)
    assert np.array_equal(detector.predict(rows), np.where(scores < detector.offset_, -1, 1))
    p = detector.p_values(rows)
    assert (np.diff(p[scores.argsort()]) >= 0).all(), "the higher the score, the more usual the row"
    assert np.array_equal(detector.predict(rows) == -1, p <= 0.05), "the threshold is that of five per cent"


def test_p_values_of_normal_rows_are_uniform(detector: AnomalyDetector) -> None:
    p = detector.p_values(table(2000, 5))
    assert p.min() == pytest.approx(1 / 151) and p.max() == 1
    for level in (0.1, 0.3, 0.5, 0.8):
        assert (p <= level).mean() == pytest.approx(level, abs=0.12)  # four standard errors of 150 rows


def test_a_share_of_the_training_rows_is_abnormal() -> None:
    rows = table(240, 0)
    for share in (0.05, 0.2, 0.5):
        found = AnomalyDetector(**QUICK, contamination=share).fit(rows)
        assert (found.predict(rows) == -1).sum() == round(share * 240)
        assert (found.fit_predict(rows) == -1).sum() == round(share * 240)


def test_a_known_share_keeps_abnormal_rows_from_shaping_the_model() -> None:
    """A sixth of the training rows lie close together elsewhere: a model that may explain them does."""
    found: dict[str | float, list[float]] = {"auto": [], 0.15: []}
    for seed in range(2):
        usual = table(340, seed)
        cluster = 0.1 * table(60, seed + 50) + 0.9 * usual.mean(0)
        cluster += 4 * np.random.default_rng(7).normal(size=6) * usual.std(0)
        rows, wrong = np.concatenate([usual, cluster]), np.arange(400) >= 340
        for contamination, areas in found.items():
            fitted = AnomalyDetector(**SMALL | {"random_state": seed}, contamination=contamination).fit(rows)
            areas.append(roc_auc_score(wrong, -fitted.score_samples(rows)))
    assert np.mean(found[0.15]) > np.mean(found["auto"]) + 0.05
    assert min(found[0.15]) > 0.95


def test_the_wrong_column_is_the_first_reason(detector: AnomalyDetector) -> None:
    rows, column = spoilt(100, 5)
    why = detector.explain(rows, n_columns=2)
    assert why.column.shape == (100, 2)
    assert (why.column[:, 0].numpy() == column).mean() >= 0.9
    first = why.column[:, :1].numpy()
    assert np.allclose(why.value[:, 0], np.take_along_axis(rows, first, 1)[:, 0], rtol=1e-5)
    right = first[:, 0] == column
    expected, clean = why.expected[:, 0].numpy()[right], table(100, 1)[np.arange(100), column][right]
    scale = table(100, 1).std(0)[column[right]]
    assert np.median(np.abs(expected - clean) / scale) < 0.5, "in the units of the data"
    assert (why.nats[:, 0] > 3).all()


# --- how it is compared ----------------------------------------------------------------------------------------------


def weights(found: AnomalyDetector) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in found.detector_.models[0].state_dict().items()}


def test_calibrating_changes_p_values_and_no_model() -> None:
    found = AnomalyDetector(**SMALL).fit(table(400, 0))
    rows, before = table(30, 6), weights(found)
    p, other = found.p_values(rows), table(37, 8) + 2 * table(400, 0).std(0)
    assert found.calibrate(other) is found
    changed = found.p_values(rows)
    assert np.allclose(changed * 38, np.round(changed * 38)) and not np.array_equal(p, changed)
    assert (found.p_values(other) > 1 / 38).sum() > 30, "what was strange is usual now"
    assert all(torch.equal(value, before[name]) for name, value in weights(found).items())


@pytest.mark.parametrize("scores", ["exemplar+error", "elbo"])
def test_calibrating_moves_the_threshold_along(scores: str) -> None:
    """Scores stay as they are, whatever was said of contamination; 5 % of the new normal rows are beyond the threshold."""
    rows = table(200, 0)
    found = AnomalyDetector(**QUICK, contamination=0.1, scores=scores).fit(rows)
    assert (found.predict(rows) == -1).sum() == 20
    before = found.score_samples(rows)
    normal = np.random.default_rng(0).normal(size=(400, 6)) * 3 * rows.std(0) + rows.mean(0)
    found.calibrate(normal)
    assert np.array_equal(found.score_samples(rows), before) and (found.predict(rows) == 1).all()
    assert (found.predict(normal) == -1).sum() == 19, "20 with the row that is to come"


def test_contaminated_rows_do_not_calibrate() -> None:
    """The share that is abnormal is left out of what scores are compared with."""
    random = np.random.default_rng(0)
    rows = table(400, 0)
    rows[random.choice(400, 40, replace=False)] += 12 * rows.std(0)
    told, not_told = (AnomalyDetector(**QUICK, contamination=share).fit(rows) for share in (0.1, "auto"))
    wild = table(40, 1) + 9 * table(400, 0).std(0)
    assert len(told.detector_.normal) == 36 and len(not_told.detector_.normal) == 40
    assert np.median(told.p_values(wild)) < 0.04 < np.median(not_told.p_values(wild))


def test_large_offsets_cost_no_digits() -> None:
    """A date in seconds has none left in single precision: columns are centred before."""
    rows = table(300, 0)
    near = AnomalyDetector(**QUICK).fit(rows)
    far = AnomalyDetector(**QUICK).fit(rows + 1e9)
    np.testing.assert_allclose(far.score_samples(rows + 1e9), near.score_samples(rows), rtol=1e-3, atol=1e-3)
    reasons = far.explain(rows[:5] + 1e9, 6)
    shown = reasons.column[:, 0] >= 0
    assert (reasons.value[shown, 0] > 9e8).all() and (reasons.expected[shown, 0] > 9e8).all()


def test_with_few_rows_the_training_rows_serve() -> None:
    assert len(AnomalyDetector(**QUICK).fit(table(99, 0)).detector_.normal) == 99
    assert len(AnomalyDetector(**QUICK).fit(table(100, 0)).detector_.normal) == 20, "so that 5 % of them is one"
    assert len(AnomalyDetector(**QUICK, calibration_fraction=0.5).fit(table(120, 0)).detector_.normal) == 60
    assert len(AnomalyDetector(**QUICK, calibration_fraction=0).fit(table(120, 0)).detector_.normal) == 120


def test_rows_that_are_equal_have_equal_verdicts() -> None:
    """Products of matrices differ in the last digits with the rows beside a row: ties must not hang on them."""
    rows = np.column_stack([np.arange(230) % 3, np.ones((230, 5))])
    found = AnomalyDetector(n_models=1, steps=30, random_state=0).fit(rows)
    assert found.predict(rows[:3]).tolist() == found.predict(rows[:4])[:3].tolist() == [1, 1, 1]
    np.testing.assert_array_equal(found.p_values(rows[:3]), found.p_values(rows[:4])[:3])


def test_rows_that_calibrate_are_not_trained_on() -> None:
    """Wild values among them do not reach the weights' statistics."""
    found = AnomalyDetector(**QUICK, calibration_fraction=0.2).fit(table(100, 0))
    rows, held = table(100, 0), []
    for row in range(100):
        p = found.p_values(rows[row : row + 1])[0] * 21  # 1 + how many of the 20 score as high
        held.append(abs(p - round(p)) < 1e-9)
    assert all(held) and len(found.detector_.normal) == 20


@pytest.mark.parametrize("scores", ["elbo", "kl|error", "importance_weighted", "regret", "latent_density"])
def test_other_scores_serve(scores: str) -> None:
    found = AnomalyDetector(**QUICK | {"n_models": 2}, scores=scores).fit(table(80, 0))
    assert len(found.detector_.models) == 2
    assert found.score_samples(spoilt(30, 30)[0]).mean() < found.score_samples(table(30, 1)).mean()


# --- data of all kinds -----------------------------------------------------------------------------------------------


def test_the_same_seed_gives_the_same_detector() -> None:
    rows = table(80, 0)
    found = [AnomalyDetector(**QUICK | {"random_state": seed}).fit(rows).score_samples(rows) for seed in (3, 3, 4)]
    assert np.array_equal(found[0], found[1]) and not np.allclose(found[0], found[2])


def test_units_and_offsets_of_columns_do_not_matter() -> None:
    rows, units = table(80, 0), np.array([1, 1000, 0.01, 1, 7, 1e4])
    found = [AnomalyDetector(**QUICK).fit(x).score_samples(x) for x in (rows, rows * units + 3 * units)]
    assert np.allclose(*found, atol=0.05)


def test_a_row_does_not_depend_on_those_beside_it(detector: AnomalyDetector) -> None:
    rows = table(7, 9)
    alone = np.concatenate([detector.score_samples(row[None]) for row in rows])
    assert np.allclose(alone, detector.score_samples(rows), rtol=1e-9, atol=1e-9)


def test_a_fitted_detector_survives_pickling_and_a_clone_is_fresh(detector: AnomalyDetector) -> None:
    rows, again = table(20, 2), pickle.loads(pickle.dumps(detector))
    assert np.array_equal(again.score_samples(rows), detector.score_samples(rows))
    assert np.array_equal(again.p_values(rows), detector.p_values(rows))
    fresh = clone(detector)
    assert fresh.get_params() == detector.get_params() and not hasattr(fresh, "detector_")


@pytest.mark.parametrize(
    "method", ["predict", "decision_function", "score_samples", "p_values", "discoveries", "explain", "calibrate"]
)
def test_what_is_refused(method: str, detector: AnomalyDetector) -> None:
    with pytest.raises(NotFittedError):
        getattr(AnomalyDetector(), method)(table(3, 0))
    for value, message in (
        (np.nan, "contains NaN"),
        (np.inf, "contains infinity"),
        (1e300, "expected finite"),
    ):
        rows = table(3, 0)
        rows[1, 2] = value
        with pytest.raises(ValueError, match=message):
            getattr(detector, method)(rows)
    with pytest.raises(ValueError, match="5 features, but AnomalyDetector is expecting 6"):
        getattr(detector, method)(table(3, 0)[:, :5])
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        getattr(detector, method)(table(3, 0)[:0])


def test_rows_that_cannot_be_learned_from() -> None:
    for rows, message in (
        (table(1, 0), r"1 sample\(s\).*minimum of 2"),
        (table(1, 0)[:0], r"0 sample\(s\)"),
        (np.full((30, 3), np.nan), "contains NaN"),
        (np.where(np.eye(30, 3) > 0, np.inf, 0.0), "contains infinity"),
    ):
        with pytest.raises(ValueError, match=message):
            AnomalyDetector(**QUICK).fit(rows)
    with pytest.raises(DataError, match="expected finite numbers"):
        AnomalyDetector(**QUICK).fit(np.where(np.eye(30, 3) > 0, 1e300, 0.0))


@pytest.mark.parametrize(
    ("params", "error", "message"),
    [
        ({"scores": "exemplr"}, ConfigError, "did you mean 'exemplar'"),
        ({"scores": "complexity"}, DataError, "need images with levels"),
        ({"betas": ()}, ConfigError, "at least one number each"),
        ({"hidden_layer_sizes": ()}, ConfigError, "at least one number each"),
        ({"contamination": 0.6}, ValueError, "contamination"),
        ({"contamination": 0}, ValueError, "contamination"),
        ({"contamination": "none"}, ValueError, "contamination"),
        ({"n_models": 0}, ValueError, "n_models"),
        ({"steps": 0}, ValueError, "steps"),
        ({"df": 0.0}, ValueError, "df"),
        ({"calibration_fraction": 1.0}, ValueError, "calibration_fraction"),
    ],
    ids=str,
)
def test_wrong_parameters_are_refused(params: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        AnomalyDetector(**QUICK | params).fit(table(60, 0))


def test_constant_columns() -> None:
    """They say nothing of rows that have the constant, and much of one that has not."""
    rows = np.concatenate([table(300, 0), np.full((300, 1), 5.0)], axis=1)
    found = AnomalyDetector(**SMALL).fit(rows)
    assert np.isfinite(found.score_samples(rows)).all()
    other = rows[:50].copy()
    other[:, 6] = 9.0
    assert (found.score_samples(other) < found.score_samples(rows[:50])).all()
    assert (found.predict(other) == -1).all() and (found.explain(other, 1).column[:, 0] == 6).all()


def test_rows_that_are_all_alike() -> None:
    found = AnomalyDetector(**QUICK).fit(np.ones((60, 4)))
    assert np.array_equal(found.predict(np.ones((5, 4))), np.ones(5)) and (found.p_values(np.ones((5, 4))) > 0.5).all()
    assert found.p_values(np.full((1, 4), 50.0))[0] == pytest.approx(1 / 61)


def test_two_rows_and_one_column() -> None:
    found = AnomalyDetector(**QUICK).fit([[0.0], [1.0]])
    assert np.isfinite(found.score_samples([[0.5], [100.0]])).all()
    assert found.explain([[0.5]], n_columns=3).column.tolist() == [[0]]


# --- PyOD ------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pyod() -> Any:
    """The class; without PyOD these tests are skipped."""
    pytest.importorskip("pyod", reason="PyOD is not installed: pip install 'vaekit[pyod]'")
    from vaekit import PyODDetector

    return PyODDetector


@pytest.fixture(scope="module")
def planted(pyod: Any) -> tuple[Any, Array]:
    rows = np.concatenate([table(190, 0), spoilt(10, 30)[0]])
    return pyod(**SMALL, contamination=0.05).fit(rows), rows


def test_pyod_conventions(planted: tuple[Any, Array]) -> None:
    found, rows = planted
    assert np.array_equal(found.decision_function(rows), found.decision_scores_)
    assert found.labels_.sum() == 10 and found.labels_[190:].all()
    assert found.threshold_ == pytest.approx(np.percentile(found.decision_scores_, 95))
    assert np.array_equal(found.predict(rows), found.labels_)
    assert np.array_equal(found.decision_scores_, -found.detector_.score_samples(rows))


@pytest.mark.parametrize("method", ["linear", "unify"])
def test_pyod_probabilities(method: str, planted: tuple[Any, Array]) -> None:
    found, rows = planted
    p = found.predict_proba(rows, method=method)
    assert p.shape == (200, 2) and (p >= 0).all() and np.allclose(p.sum(1), 1)
    assert (np.diff(p[found.decision_scores_.argsort(), 1]) >= 0).all() and p[190:, 1].min() > p[:190, 1].mean()


def test_pyod_confidence(planted: tuple[Any, Array]) -> None:
    found, rows = planted
    sure = found.predict_confidence(rows)
    assert sure.shape == (200,) and ((sure >= 0) & (sure <= 1)).all()
    assert np.array_equal(found.predict(rows, return_confidence=True)[1], sure)
    assert sure[190:].mean() > 0.7


def test_pyod_fit_predict_and_clone(planted: tuple[Any, Array]) -> None:
    found, rows = planted
    fresh = clone(found)
    assert fresh.get_params() == found.get_params() and not hasattr(fresh, "detector_")
    with pytest.raises(NotFittedError):
        fresh.decision_function(rows)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PyOD's own: the method is on its way out there
        labels = fresh.fit_predict(rows)
    assert np.array_equal(labels, found.labels_) and np.array_equal(fresh.decision_scores_, found.decision_scores_)


def test_the_faces_have_the_same_parameters_and_defaults(pyod: Any) -> None:
    here, there = AnomalyDetector().get_params(), pyod().get_params()
    assert there.pop("contamination") == 0.1
    assert {name: here[name] for name in there} == there
    assert set(here) - set(there) == {"contamination", "calibration_fraction"}
