"""What torch lacks, or has in a slower form; each file with its KL registrations.

None of them validates its arguments (locally, never globally): likelihoods check their domain once, when built.
"""

from vaekit.distributions.bernoulli import Bernoulli
from vaekit.distributions.central import central
from vaekit.distributions.gaussian import Gaussian, StandardNormal
from vaekit.distributions.joint import Joint
from vaekit.distributions.levels import Levels
from vaekit.distributions.logistic import DiscretizedLogistic
from vaekit.distributions.logistic_mixture import CoupledLogisticMixture, DiscretizedLogisticMixture
from vaekit.distributions.student_t import StudentT

__all__ = [
    "Bernoulli",
    "CoupledLogisticMixture",
    "DiscretizedLogistic",
    "DiscretizedLogisticMixture",
    "Gaussian",
    "Joint",
    "Levels",
    "StandardNormal",
    "StudentT",
    "central",
]
