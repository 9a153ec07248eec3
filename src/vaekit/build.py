"""From a checked configuration and the facts of the data to a model: the one place where the families meet."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from vaekit.config import Component, Config
from vaekit.core import DataSpec, Objective
from vaekit.engine.runtime import seeded
from vaekit.engine.validate import Split
from vaekit.errors import ConfigError, VaekitError
from vaekit.model import VAE, Encoder, Group
from vaekit.nets.shapes import is_map, joined_shape, output_shape

MEAN_EXAMPLES = 2000  # of the training data, from which outputs start at the data's mean


def build_objective(config: Config) -> Objective:
    """The objective of a configuration."""
    objective: Objective = config.objective.build()
    return objective


def build_model(config: Config, spec: DataSpec, mean: Tensor | None = None) -> VAE:
    """The model of a configuration for data of a kind, with weights drawn from the plan's seed.

    `mean` is the mean of the raw training data, `(*shape)`, at which the decoder's outputs start.
    Raises `ConfigError` or `DataError` where the parts do not fit the data or each other; the message names the part.
    """
    with seeded(config.train.seed):
        return assemble(config, spec, mean)


def assemble(config: Config, spec: DataSpec, mean: Tensor | None) -> VAE:
    """One latent group `z`, its networks sized by what they are given."""
    shape, parts = config.model.latent, config.model
    context, c = build_context(parts.context, spec)
    encoder = build_net(parts.encoder, "model.encoder", spec.shape, None)
    features = output_shape(encoder, spec.shape)
    decoded = shape if c is None else joined_shape([shape, c], as_map=is_map(shape))
    decoder = build_net(parts.decoder, "model.decoder", decoded, spec.shape[1:] if len(spec.shape) == 3 else None)
    prior = at("model.prior", parts.prior, shape=shape, state_shape=None, context_shape=c)
    posterior = at(
        "model.posterior", parts.posterior, shape=shape, evidence_shape=features, state_shape=None, context_shape=c
    )
    likelihood = at(
        "model.likelihood",
        parts.likelihood,
        spec=spec,
        features=output_shape(decoder, decoded),
        decoder=decoder,
        mean=mean,
    )
    return VAE(Encoder(encoder), [Group("z", prior, posterior)], likelihood, context)


def build_context(component: Component, spec: DataSpec) -> tuple[nn.Module | None, tuple[int, ...] | None]:
    """The module that embeds the context, and the shape of its embedding; None for data without a context."""
    if not spec.context:
        return None, None
    module: nn.Module = at("model.context", component, entries=spec.context)
    training = module.training
    embedded = module.eval()({}, 2)
    module.train(training)
    return module, tuple(embedded.shape[1:])


def build_net(component: Component, path: str, in_shape: tuple[int, ...], grid: tuple[int, ...] | None) -> nn.Module:
    """A network for inputs of a shape; `grid` is the height and width its features must have, None: its own choice."""
    net = at(path, component, in_shape=in_shape, grid=grid)
    if not isinstance(net, nn.Module):
        raise ConfigError(f"{path} ({component.name}): expected a torch.nn.Module, got {type(net).__name__}")
    return net


def at(path: str, component: Component, **runtime: object) -> Any:
    """Build a component; what it refuses is reported with its place in the configuration."""
    try:
        return component.build(**runtime)
    except ConfigError as error:
        raise type(error)(f"{path} ({component.name}): {error}") from None
    except Exception as error:
        if ":" not in component.name or isinstance(error, VaekitError):
            raise
        why = f"{type(error).__name__}: {error}"
        raise ConfigError(f"{path} ({component.name}): your class cannot be made ({why})") from error


def mean_of(rows: Split) -> Tensor:
    """The mean of what was observed in raw examples, `(*shape)`, over an even choice of at most `MEAN_EXAMPLES`."""
    count = min(len(rows), MEAN_EXAMPLES)
    order = torch.linspace(0, len(rows) - 1, count).long()
    total, seen = torch.zeros(()), torch.zeros(())
    for batch in rows.batches(order, 500):
        assert isinstance(batch.x, Tensor), "named parts have no common mean"
        x = batch.x.float()
        observed = batch.mask.expand_as(x) if isinstance(batch.mask, Tensor) else torch.ones_like(x)
        total, seen = total + torch.where(observed.bool(), x, 0.0).sum(0), seen + observed.sum(0)
    return total / seen.clamp(min=1)
