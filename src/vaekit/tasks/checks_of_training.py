"""What a run's log says about its training."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from vaekit.run import Run
from vaekit.tasks.findings import Finding

# A share of skipped updates from which the weights that were reached are in doubt, and not only a bad batch now and then.
MANY_SKIPPED = 0.01
# The gap between training and held-out bound, in standard deviations of the bound over examples: Cohen's "small effect" is
# 0.2. The measure does not depend on the data's units. The gap must also be clear of the error bar.
OVERFITTING_EFFECT, OVERFITTING_STDERRS = 0.25, 3.0
# A fall of the held-out bound after its best that exceeds its error bar twice.
FALLING_STDERRS = 2.0
# A gain in the last fifth of the validations that exceeds the error bar twice: a figure would visibly change.
IMPROVING_SHARE, IMPROVING_STDERRS, FEWEST_VALIDATIONS = 0.2, 2.0, 5
ENDED = ("finished", "time", "patience")


def check_training(run: Run) -> Iterator[Finding]:
    """All checks that need no data."""
    yield from unfinished(run)
    yield from skipped(run)
    yield from warming_up(run)
    validations = [line for line in run.history if line.get("validation")]
    if not validations:
        yield from not_validated(run)
        return
    yield from overfitting(validations)
    yield from falling(validations)
    yield from improving(validations)


def unfinished(run: Run) -> Iterator[Finding]:
    """Training did not come to its end."""
    if run.info.reason in ENDED:
        return
    planned, done = run.plan.epochs, len(run.history)
    how = "was interrupted" if run.info.reason == "interrupted" else "stopped without saying why (killed, or a crash)"
    yield Finding(
        "unfinished",
        "warning",
        f"Training {how} after {done} of {planned or 'an unlimited number of'} epochs.",
        "The learning rate has not come down to its end, and the model is worse than it would be.",
        f"Go on to the bit where it stopped: vaekit train --resume {run.path or 'RUN'}",
        {"epochs": done, "planned": math.nan if planned is None else planned},
    )


def skipped(run: Run) -> Iterator[Finding]:
    """Updates that were not made because the loss was not finite."""
    count = run.info.skipped or (int(run.history[-1].get("skipped", 0)) if run.history else 0)
    if not count:
        return
    share = count / max(1, run.info.steps or int(run.history[-1]["step"]))
    yield Finding(
        "skipped-steps",
        "problem" if share >= MANY_SKIPPED else "warning",
        f"{count} updates ({share:.2%}) were skipped because the loss or a gradient was not finite.",
        "Something overflows: a learning rate that is too high, outputs or scales that run away, or values in the data.",
        "A lower rate (train.lr), clipping (train.clip=1.0), a warm-up of the rate (train.lr_warmup=500), float32",
        {"skipped": count, "share": share},
    )


def warming_up(run: Run) -> Iterator[Finding]:
    """The weight of the KL had not reached its final value."""
    final = run.config.objective.params.get("beta")
    reached = run.history[-1].get("beta") if run.history else None
    if not isinstance(final, int | float) or reached is None or reached >= final * (1 - 1e-6):
        return
    warmup = run.config.objective.params.get("warmup", 0)
    yield Finding(
        "warm-up-unfinished",
        "warning",
        f"At the end of training the KL weighed {reached:.3g}, not {final:g}: the warm-up of {warmup} steps is longer than "
        f"the training of {run.history[-1]['step']}.",
        "The model was fitted to a loss that asks too little of the code, and pays for it on held-out data.",
        "Train longer, or shorten the warm-up (objective.warmup)",
        {"beta": float(reached), "final_beta": float(final)},
    )


def not_validated(run: Run) -> Iterator[Finding]:
    """Nothing is known of held-out data."""
    if not run.history:
        return
    yield Finding(
        "not-validated",
        "note",
        "No held-out bound was computed while training.",
        "The weights that were kept are the last ones, not the best, and over- and underfitting cannot be told.",
        "Keep some data for validation, and train.validate_every=1",
        {"epochs": len(run.history)},
    )


def overfitting(validations: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """At the weights that were kept, training data is explained better than held-out data."""
    best = best_of(validations)
    held, stderr, n = best["validation"]["elbo_nats"], error(best), best["validation"]["n"]
    trained = best["train"].get("elbo_nats", held)
    gap, spread = trained - held, stderr * math.sqrt(n)
    if not gap > max(OVERFITTING_STDERRS * stderr, OVERFITTING_EFFECT * spread):
        return
    yield Finding(
        "overfitting",
        "warning",
        f"The bound is {gap:.3g} nats better on training data ({trained:.5g}) than on held-out data "
        f"({held:.5g} ± {stderr:.2g}).",
        f"The networks know the training examples by heart: the gap is {gap / spread:.2g} times the spread over examples.",
        "More data, dropout (model.encoder.dropout, model.decoder.dropout), smaller networks, weight decay, fewer epochs",
        {"gap_nats": gap, "effect": gap / spread},
    )


def falling(validations: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """The held-out bound got worse again."""
    best, last = best_of(validations), validations[-1]
    fall = best["validation"]["elbo_nats"] - last["validation"]["elbo_nats"]
    if not fall > FALLING_STDERRS * error(best):
        return
    yield Finding(
        "past-its-best",
        "note",
        f"The held-out bound was best after epoch {best['epoch']} and fell by {fall:.3g} nats until epoch {last['epoch']}.",
        "From there on the model learned its training data by heart. The best weights were kept; the time was lost.",
        f"Fewer epochs (about {best['epoch']}), early stopping (train.patience=5), or more regularization",
        {"best_epoch": best["epoch"], "epoch": last["epoch"], "fall_nats": fall},
    )


def improving(validations: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """The held-out bound was still rising when training ended."""
    if len(validations) < FEWEST_VALIDATIONS:
        return
    last = validations[-1]
    before = validations[-1 - max(1, round(IMPROVING_SHARE * len(validations)))]
    gain = last["validation"]["elbo_nats"] - before["validation"]["elbo_nats"]
    if not gain > IMPROVING_STDERRS * error(last):
        return
    yield Finding(
        "still-improving",
        "note",
        f"The held-out bound rose by {gain:.3g} nats in the last {last['epoch'] - before['epoch']} of {last['epoch']} epochs.",
        f"That is {gain / error(last):.2g} times its error bar: the model is not done.",
        "Train longer: vaekit train --resume RUN --set train.epochs=" + str(2 * int(last["epoch"])),
        {"gain_nats": gain, "epochs": last["epoch"] - before["epoch"]},
    )


def best_of(validations: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The line whose weights were kept."""
    return max(validations, key=lambda line: line["validation"]["elbo_nats"])


def error(line: Mapping[str, Any]) -> float:
    """The standard error of a line's held-out bound; infinite where it is unknown, so that nothing is concluded."""
    stderr = line["validation"]["stderr"]
    return math.inf if stderr is None or not math.isfinite(stderr) or stderr <= 0 else float(stderr)
