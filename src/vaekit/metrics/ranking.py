"""How well a score tells abnormal rows from normal ones, where it is known which is which."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from vaekit.errors import DataError


@dataclass(frozen=True)
class Ranking:
    """Curves over all thresholds, from the highest score down; tied scores are one step.

    `auroc` is the probability that an abnormal row scores higher than a normal one, ties counting half (0.5: a coin);
    `average_precision` the mean precision over the abnormal rows (its chance level is their share).
    """

    false_positive_rate: Tensor  # (k,)
    recall: Tensor  # (k,), the true-positive rate
    precision: Tensor  # (k,)
    auroc: float
    average_precision: float
    normal: int
    abnormal: int


def ranking(scores: Tensor, abnormal: Tensor) -> Ranking:
    """The curves of n scores (high is abnormal) and what the rows are, (n,) each.

    Raises `DataError` unless there are rows of both kinds.

    References: Fawcett (2006), An introduction to ROC analysis. Davis, Goadrich (2006), The relationship between
    precision-recall and ROC curves.

    >>> ranking(torch.tensor([0.1, 0.9, 0.4, 0.4]), torch.tensor([False, True, True, False])).auroc
    0.875
    """
    abnormal = abnormal.bool().cpu()
    positives, negatives = int(abnormal.sum()), int((~abnormal).sum())
    if not positives or not negatives:
        raise DataError(f"expected normal and abnormal rows, got {negatives} normal and {positives} abnormal ones")
    order = scores.double().cpu().argsort(descending=True, stable=True)
    ordered, hits = scores.double().cpu()[order], abnormal[order].double().cumsum(0)
    last = torch.cat([ordered[1:] != ordered[:-1], torch.ones(1, dtype=torch.bool)])  # of every run of ties
    true, seen = hits[last], (torch.arange(len(hits), dtype=torch.float64) + 1)[last]
    recall, precision, false = true / positives, true / seen, (seen - true) / negatives
    steps = torch.diff(recall, prepend=torch.zeros(1, dtype=torch.float64))
    zero = torch.zeros(1, dtype=torch.float64)
    area = torch.trapezoid(torch.cat([zero, recall]), torch.cat([zero, false])).item()
    return Ranking(false, recall, precision, area, float((steps * precision).sum()), negatives, positives)
