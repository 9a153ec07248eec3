"""What some of the data says about a model."""

from __future__ import annotations

import math
from collections.abc import Iterator

from vaekit.run import Run
from vaekit.tasks.findings import Finding
from vaekit.tasks.signs import EDGE, UNLIKELY, Signs

COLLAPSED_NATS = 0.1  # a code that carries less tells one example from another in fewer than one case in ten
UNUSED_SHARE = 0.5  # of the latent dimensions; below, a few spare ones are the sign that there are enough
TOO_MANY_UNLIKELY = 10 * UNLIKELY  # ten times what a model that is right can have
AT_EDGE_SHARE = 0.01
CALIBRATED = (0.5, 2.0)  # σ² against the squared error that it stands for
BETA_NEAR_ONE = (0.5, 2.0)
FAR = 20.0  # standard deviations: a normal density costs 200 nats there, for a single value
GREY_SHARE = 0.2  # of values that a threshold turns into black or white


def check_model(run: Run, signs: Signs) -> Iterator[Finding]:
    """All checks of the weights on data."""
    yield from unfit_data(run, signs)
    yield from not_finite(run, signs)
    yield from collapsed(signs)
    yield from unused(signs)
    yield from saturated(signs)
    yield from at_edge(signs)
    yield from weighting(run, signs)
    yield from misjudged_scale(run, signs)


def unfit_data(run: Run, signs: Signs) -> Iterator[Finding]:
    """Data that the likelihood is not made for."""
    if signs.not_finite:
        yield unfit(f"{signs.not_finite:.2%} of the values are NaN or infinite", "not_finite", signs.not_finite)
    levels = run.spec.levels
    if levels is None:
        if signs.farthest > FAR:
            what = f"a value lies {signs.farthest:.3g} standard deviations from the mean of the training data"
            yield unfit(
                what,
                "standard_deviations",
                signs.farthest,
                "Look for errors; clip such values, or take their logarithm",
            )
        return
    if signs.outside:
        yield unfit(f"{signs.outside:.2%} of the values are not among the {levels} levels", "outside", signs.outside)
    if signs.distinct <= 2 < levels:
        what = f"only {signs.distinct} of the {levels} levels occur"
        yield unfit(what, "distinct", signs.distinct, "Give it as binary data (levels 2) with likelihood bernoulli")
    if (
        run.config.model.likelihood.params.get("binarization") == "threshold"
        and signs.between > GREY_SHARE
        and levels > 2
    ):
        what = f"{signs.between:.0%} of the values are grey, and the threshold makes them black or white"
        yield unfit(what, "grey", signs.between, "Likelihood logistic models the grey levels themselves", "note")


def unfit(what: str, name: str, figure: float, fix: str = "", severity: str = "problem") -> Finding:
    """A finding about data outside the likelihood's domain."""
    return Finding(
        "data-outside-domain",
        "note" if severity == "note" else "problem",
        f"Of the data that was looked at, {what}.",
        "Figures are about something else than this data, or dominated by a few values.",
        fix or "Check how the data was made; every task must get it in the units of the training data",
        {name: figure},
    )


def not_finite(run: Run, signs: Signs) -> Iterator[Finding]:
    """Weights or a bound that are no numbers."""
    broken = sum(
        int((~value.isfinite()).sum()) for value in run.model.state_dict().values() if value.is_floating_point()
    )
    if not broken and math.isfinite(signs.elbo):
        return
    what = f"{broken} weights are not finite" if broken else f"The bound on held-out data is {signs.elbo}"
    yield Finding(
        "not-finite",
        "problem",
        f"{what}.",
        "Training diverged, or the data has values that the model was never shown.",
        "Train anew with a lower rate (train.lr) and clipping (train.clip=1.0)",
        {"weights": broken, "elbo_nats": signs.elbo},
    )


def collapsed(signs: Signs) -> Iterator[Finding]:
    """The code says nothing about the data."""
    if not signs.kl < COLLAPSED_NATS:
        return
    yield Finding(
        "posterior-collapse",
        "problem",
        f"The code carries {signs.kl:.3g} nats: the posterior is the prior, whatever the input.",
        "The decoder has learned to do without the code, as the KL was dearer than what it bought early in training.",
        "Warm the KL up (objective.warmup, a tenth of the steps), leave some of it free (objective.free_bits), lower "
        "objective.beta, or a weaker decoder",
        {"kl_nats": signs.kl},
    )


def unused(signs: Signs) -> Iterator[Finding]:
    """Latent dimensions that do nothing."""
    share = signs.inactive / max(1, signs.dimensions)
    if share <= UNUSED_SHARE or signs.kl < COLLAPSED_NATS:
        return
    yield Finding(
        "inactive-dimensions",
        "note",
        f"{signs.inactive} of {signs.dimensions} latent dimensions are inactive: they stay where the prior has them.",
        "More dimensions than the model finds use for. They cost nothing, but they say that a warm-up may find more use, "
        "or that a smaller latent does as well.",
        "A KL warm-up (objective.warmup), free bits per dimension, or a smaller model.latent",
        {"inactive": signs.inactive, "dimensions": signs.dimensions},
    )


def saturated(signs: Signs) -> Iterator[Finding]:
    """Outputs that are sure and wrong."""
    if signs.unlikely is None or not signs.unlikely > TOO_MANY_UNLIKELY:
        return
    yield Finding(
        "saturated-outputs",
        "warning",
        f"{signs.unlikely:.2%} of the values are ones that the decoder was sure not to see; a calibrated one has at most "
        f"{UNLIKELY:.1%}.",
        "Outputs are saturated: probabilities near 0 and 1 that the data contradicts. Overfitting, or data unlike the "
        "training data.",
        "Regularize (dropout, fewer epochs); check that the data is prepared as in training",
        {"share": signs.unlikely},
    )


def at_edge(signs: Signs) -> Iterator[Finding]:
    """Posterior scales at the end of their range."""
    if not signs.at_edge > AT_EDGE_SHARE:
        return
    yield Finding(
        "latent-scale-at-bound",
        "warning",
        f"{signs.at_edge:.1%} of the posterior's scales are more than {math.exp(EDGE):.0f} times narrower or wider than the "
        "prior's.",
        "They stand at the bound that keeps them finite: the code is used like a lookup table, or the encoder ran away.",
        "A higher objective.beta, a lower rate (train.lr), or standardized data",
        {"share": signs.at_edge},
    )


def weighting(run: Run, signs: Signs) -> Iterator[Finding]:
    """The loss is not the bound."""
    params = run.config.objective.params
    beta, free = float(params.get("beta", 1.0)), float(params.get("free_bits", 0.0))
    per_dimension = float(params.get("free_bits_per_dimension", 0.0))
    if beta != 1:
        yield Finding(
            "beta",
            "note" if BETA_NEAR_ONE[0] <= beta <= BETA_NEAR_ONE[1] else "warning",
            f"The KL weighs {beta:g} in the loss; figures are of the plain bound, where it weighs 1.",
            "It is the bound of another likelihood, p(x | z) to the power of "
            f"{'∞' if beta == 0 else format(1 / beta, '.3g')}{in_data_units(run, beta)}: "
            + ("codes are rougher and reconstructions blurrier." if beta > 1 else "samples from the prior suffer."),
            "objective.beta=1 for the best likelihood; another value if that is what you are after",
            {"beta": beta},
        )
    below = int((signs.kl_per_dimension <= per_dimension).sum()) if per_dimension else 0
    if (free and signs.kl <= free) or below > UNUSED_SHARE * signs.dimensions:
        yield Finding(
            "free-bits",
            "warning",
            f"The KL of {signs.kl:.3g} nats is free"
            + (f" in {below} dimensions." if below else f": {free:g} nats are.")
            + " There the loss does not care about it: the effective β is 0.",
            "What is free is not minded, and the bound pays for it.",
            "Lower objective.free_bits or objective.free_bits_per_dimension",
            {"kl_nats": signs.kl, "free_nats": free or per_dimension},
        )


def misjudged_scale(run: Run, signs: Signs) -> Iterator[Finding]:
    """A fixed σ that is not the size of the errors: a hidden β."""
    part = run.config.model.likelihood
    if part.name != "gaussian" or part.params.get("scale") != "fixed" or not signs.calibration:
        return
    beta = float(run.config.objective.params.get("beta", 1.0)) / signs.calibration
    if CALIBRATED[0] <= 1 / signs.calibration <= CALIBRATED[1]:
        return
    sigma = float(part.params["sigma"])
    error = sigma * math.sqrt(signs.calibration)
    factor = data_units(run)
    yield Finding(
        "fixed-sigma",
        "warning",
        f"σ is fixed at {sigma:g} ({sigma * factor:.3g} in the data's units), errors are {error:.3g} ({error * factor:.3g}): "
        f"the effective β is {beta:.3g}.",
        "With a σ that fits the errors, the KL would weigh that much in the same loss.",
        f"Let σ be learned (model.likelihood.scale=shared), or set model.likelihood.sigma={error:.2g}",
        {"sigma": sigma, "error": error, "effective_beta": beta},
    )


def in_data_units(run: Run, beta: float) -> str:
    """What β does to a fixed σ, in the data's own units."""
    part = run.config.model.likelihood
    if part.name != "gaussian" or part.params.get("scale") != "fixed":
        return ""
    sigma = float(part.params["sigma"]) * data_units(run)
    return f" (σ = {sigma * math.sqrt(beta):.3g} instead of {sigma:.3g} in the data's units)"


def data_units(run: Run) -> float:
    """How many units of the data one unit of the model is (the mean over channels or columns)."""
    spec = run.spec
    if spec.levels is None:
        return sum(spec.scale) / len(spec.scale)
    steps = spec.levels - 1 if run.config.model.likelihood.params.get("dequantize") is False else spec.levels
    return steps / 2
