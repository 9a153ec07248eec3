"""The curves and their areas are those of scikit-learn, ties included."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from vaekit.errors import DataError
from vaekit.metrics.ranking import ranking


def scores_with_ties(seed: int, n: int = 157) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    abnormal = torch.rand(n, generator=generator) < (0.1, 0.5, 0.9)[seed % 3]
    scores = torch.randn(n, generator=generator) + 0.8 * abnormal
    return (scores * (1, 2, 100)[seed // 3]).round(), abnormal


@pytest.mark.parametrize("seed", range(9))
def test_areas_are_those_of_scikit_learn(seed: int) -> None:
    scores, abnormal = scores_with_ties(seed)
    assert len(scores.unique()) < len(scores)
    found = ranking(scores, abnormal)
    assert found.auroc == pytest.approx(roc_auc_score(abnormal, scores), abs=1e-12)
    assert found.average_precision == pytest.approx(average_precision_score(abnormal, scores), abs=1e-12)
    assert (found.normal, found.abnormal) == (int((~abnormal).sum()), int(abnormal.sum()))


def test_the_curve_is_that_of_scikit_learn() -> None:
    scores, abnormal = scores_with_ties(4)
    found = ranking(scores, abnormal)
    precision, recall, _ = precision_recall_curve(abnormal, scores)
    assert np.allclose(found.precision.numpy()[::-1], precision[:-1])
    assert np.allclose(found.recall.numpy()[::-1], recall[:-1])
    assert found.recall[-1] == found.false_positive_rate[-1] == 1


def test_a_score_turned_round_and_one_that_says_nothing() -> None:
    scores, abnormal = scores_with_ties(1)
    assert ranking(-scores, abnormal).auroc == pytest.approx(1 - ranking(scores, abnormal).auroc, abs=1e-12)
    flat = ranking(torch.zeros(len(scores)), abnormal)
    assert flat.auroc == 0.5 and flat.average_precision == pytest.approx(abnormal.double().mean().item())


@pytest.mark.parametrize("value", [True, False])
def test_rows_of_one_kind_cannot_be_ranked(value: bool) -> None:
    with pytest.raises(DataError, match=r"expected normal and abnormal rows, got (0 normal and 5|5 normal and 0) abn"):
        ranking(torch.arange(5.0), torch.full((5,), value))
