"""Contender: the same maths in JAX, one jitted `lax.scan` for a whole epoch, Adam written by hand."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import pixels
from settings import BATCH, HIDDEN, LATENT, PIXELS, RATE, Settings
from turns import Turns

Tree = Any
SIZES = {"in": (PIXELS, HIDDEN), "q": (HIDDEN, 2 * LATENT), "up": (LATENT, HIDDEN), "out": (HIDDEN, PIXELS)}


def initial(key: Any) -> Tree:
    """Weights and biases, uniform within 1/√(inputs), as PyTorch's linear layers begin."""
    weights = {}
    for name, (inputs, outputs) in SIZES.items():
        key, one, two = jax.random.split(key, 3)
        bound = 1 / math.sqrt(inputs)
        weights[name] = (
            jax.random.uniform(one, (inputs, outputs), minval=-bound, maxval=bound),
            jax.random.uniform(two, (outputs,), minval=-bound, maxval=bound),
        )
    return weights


def linear(weights: Tree, name: str, x: Any, kind: Any) -> Any:
    """x W + b with the product's factors of a kind of number."""
    w, b = weights[name]
    return (x.astype(kind) @ w.astype(kind)).astype(jnp.float32) + b


def loss(weights: Tree, x: Any, noise: Any, kind: Any) -> Any:
    """−ELBO of a batch, in nats per example."""
    loc, log_scale = jnp.split(linear(weights, "q", jax.nn.relu(linear(weights, "in", x, kind)), kind), 2, axis=1)
    z = loc + noise * jnp.exp(log_scale)
    logits = linear(weights, "out", jax.nn.relu(linear(weights, "up", z, kind)), kind)
    kl = 0.5 * jnp.sum(loc**2 + jnp.expm1(2 * log_scale)) - jnp.sum(log_scale)
    return (jnp.sum(jax.nn.softplus(logits) - x * logits) + kl) / len(x)


def adam(state: Tree, gradient: Tree) -> Tree:
    """One step of Adam with its usual constants."""
    weights, first, second, count = state
    count = count + 1
    first = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, first, gradient)
    second = jax.tree.map(lambda v, g: 0.999 * v + 0.001 * g * g, second, gradient)
    one, two = 1 - 0.9**count, 1 - 0.999**count
    step = jax.tree.map(lambda m, v: RATE / one * m / (jnp.sqrt(v / two) + 1e-8), first, second)
    return jax.tree.map(jnp.subtract, weights, step), first, second, count


@partial(jax.jit, static_argnames="kind", donate_argnums=0)
def epoch(state: Tree, data: Any, key: Any, kind: Any) -> Tree:
    """One pass over the data in random order."""
    shuffle, draw = jax.random.split(key)
    order = jax.random.permutation(shuffle, len(data)).reshape(-1, BATCH)
    noise = jax.random.normal(draw, (len(order), BATCH, LATENT))

    def step(state: Tree, given: Any) -> tuple[Tree, None]:
        rows, noise = given
        return adam(state, jax.grad(loss)(state[0], data[rows], noise, kind)), None

    return jax.lax.scan(step, state, (order, noise))[0]


def held_out(weights: Tree, data: Any, key: Any) -> tuple[float, float]:
    """The ELBO and its standard error, from the means of batches of 100."""
    score = jax.jit(partial(loss, kind=jnp.float32))
    parts = data.reshape(-1, 100, PIXELS)
    noise = jax.random.normal(key, (len(parts), 100, LATENT))
    bounds = -jnp.stack([score(weights, x, e) for x, e in zip(parts, noise, strict=True)])
    return float(bounds.mean()), float(bounds.std(ddof=1)) / math.sqrt(len(bounds))


def main() -> None:
    """Train with turns, then score the held-out images."""
    settings, turns = Settings.read(), Turns()
    assert settings.nets == "mlp", "inside a loop, JAX's convolution on a CPU is slower by an order of magnitude"
    train, test = (jnp.asarray(part, jnp.float32) / 255 for part in pixels.load(settings.data, settings.images))
    kind = jnp.dtype(settings.precision)
    key = jax.random.key(settings.seed)
    weights = initial(key)
    state = (weights, jax.tree.map(jnp.zeros_like, weights), jax.tree.map(jnp.zeros_like, weights), jnp.zeros(()))
    turns.ready(precision=settings.precision, jax=jax.__version__)
    for number in range(settings.epochs):
        state = jax.block_until_ready(epoch(state, train, jax.random.fold_in(key, number), kind))
        turns.ended_epoch()
    turns.held_out(*held_out(state[0], test, jax.random.fold_in(key, settings.epochs)))


if __name__ == "__main__":
    main()
