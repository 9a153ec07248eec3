"""Estimators on a model and held-out rows. Every figure is an `Estimate`: mean, standard error, number of examples."""

from vaekit.metrics.bayes import Posteriors, classify
from vaekit.metrics.bounds import Scores, score
from vaekit.metrics.estimate import Estimate, bits_per_dimension
from vaekit.metrics.latents import active_units, effective_dimensions
from vaekit.metrics.measures import Measures, measure
from vaekit.metrics.pointwise import centred, reconstruction

__all__ = [
    "Estimate",
    "Measures",
    "Posteriors",
    "Scores",
    "active_units",
    "bits_per_dimension",
    "centred",
    "classify",
    "effective_dimensions",
    "measure",
    "reconstruction",
    "score",
]
