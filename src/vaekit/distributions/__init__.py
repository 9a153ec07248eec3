"""What torch lacks, or has in a slower form; each file with its KL registrations.

None of them validates its arguments (locally, never globally): likelihoods check their domain once, when built.
"""

from vaekit.distributions.bernoulli import Bernoulli
from vaekit.distributions.central import central
from vaekit.distributions.gaussian import Gaussian, StandardNormal

__all__ = ["Bernoulli", "Gaussian", "StandardNormal", "central"]
