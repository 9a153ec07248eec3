"""What `vaekit train` says before and after."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vaekit.cli import screen

if TYPE_CHECKING:
    from vaekit.config import Config, ModelConfig
    from vaekit.core import DataSpec
    from vaekit.engine.plan import Plan
    from vaekit.run import Run, RunInfo

ENDS = {
    "finished": "all epochs done",
    "time": "time used up",
    "patience": "no better held-out ELBO for a while",
    "interrupted": "interrupted",
}


def announce(path: Path, quiet: bool) -> None:
    """What is trained on what, and what the data source had to say."""
    from vaekit import run as runs

    info = runs.read_info(path)
    for remark in info.remarks:
        screen.note(remark)
    if quiet:
        return
    config = runs.read_config(path)
    screen.show(
        screen.facts(
            [
                ("data", f"{info.dataset}: {sizes(info)}; {kind(info.spec)}"),
                ("model", f"{parts(config.model)}, {config.model.likelihood.name} likelihood"),
                ("", f"{info.parameters:,} parameters, on {info.device} in {info.precision}; {plan(config.train)}"),
                ("run", str(path)),
            ]
        )
    )
    screen.say()


def sizes(info: RunInfo) -> str:
    """Examples per split."""
    return f"{info.sizes['train']:,} train, {info.sizes['validation']:,} held out, {info.sizes['test']:,} test"


def kind(spec: DataSpec) -> str:
    """Shape and values of one example."""
    return f"{shape(spec.shape)}, {'continuous' if spec.levels is None else f'{spec.levels} levels'}"


def shape(sides: tuple[int, ...]) -> str:
    """
    >>> shape((1, 28, 28))
    '1×28×28'
    """
    return "×".join(map(str, sides))


def parts(model: ModelConfig) -> str:
    """Latent and networks."""
    same = model.encoder.name == model.decoder.name
    networks = (
        f"{model.encoder.name} networks" if same else f"{model.encoder.name} encoder, {model.decoder.name} decoder"
    )
    return f"latent {shape(model.latent)}, {networks}"


def plan(train: Plan) -> str:
    """How long."""
    limits = [f"{train.epochs} epochs"] if train.epochs is not None else []
    limits += [f"at most {train.time}" if limits else train.time] if train.time is not None else []
    return ", ".join(limits)


def ended(run: Run, path: Path) -> None:
    """The held-out bound, what it cost, where the run is, and what to do next."""
    pairs = best_pairs(run.history)
    if not pairs and run.history:
        pairs = [("ELBO", f"{run.history[-1]['train']['elbo_nats']:,.2f} nats per example, of training data alone")]
    beta = run.history[-1].get("beta") if run.history else None
    if beta is not None and beta != 1:
        pairs.append(
            ("effective beta", f"{beta:g}: the loss weighs the KL so; the ELBO above is the plain one, beta 1")
        )
    pairs.append(("training", trained(run.info, run.history)))
    if run.info.skipped:
        pairs.append(("skipped", f"{screen.counted(run.info.skipped, 'update')} with a non-finite loss"))
    pairs.append(("run", str(path)))
    screen.show(screen.facts(pairs))
    if not run.info.steps and run.info.reason == "time":
        screen.note(
            "the time was used up before training began: these weights know nothing.\n"
            f"  fix: more time: vaekit train --resume {shlex.quote(str(path))} --time 2m"
        )
    elif run.info.reason != "interrupted":
        name = shlex.quote(str(path))
        screen.commands("next", [f"vaekit {command.format(name)}" for command in following(run)])


def following(run: Run) -> list[str]:
    """What one does with such a run: a table is scored, anything else is drawn from."""
    if run.preparation.names or run.name.endswith("-anomaly"):
        return ["detect {} --data PATH", "evaluate {}", "report {}"]
    return ["evaluate {}", "generate {} -n 64", "report {}"]


def best_line(history: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The epoch whose weights are kept: the best on held-out data; None where nothing was held out."""
    validated = [line for line in history if line.get("validation")]
    return max(validated, key=lambda line: line["validation"]["elbo_nats"], default=None)


def stopped(run: Run, path: Path) -> None:
    """After Ctrl-C: everything is saved, and how to go on."""
    screen.message(screen.err(), "stopped", "bold yellow", f"all is saved in {path}")
    screen.message(screen.err(), "go on", "bold", f"vaekit train --resume {shlex.quote(str(path))}")


def remains(path: Path) -> str:
    """What there is of a run that failed."""
    if (path / "best.safetensors").exists():
        return f"  what was trained until then is kept in {path}"
    return f"  nothing was saved in {path} yet: delete it, or train into another --out"


def stopped_at_once(path: Path) -> None:
    """After Ctrl-C where nothing could be saved any more: what there is."""
    if (path / "last.safetensors").exists():
        screen.message(screen.err(), "stopped", "bold yellow", f"at once; the last checkpoint is kept in {path}")
        screen.message(screen.err(), "go on", "bold", f"vaekit train --resume {shlex.quote(str(path))}")
    else:
        screen.message(screen.err(), "stopped", "bold yellow", "before anything was trained; nothing is kept")


def described(path: Path, info: RunInfo, config: Config, history: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """A run in names and values, for `vaekit show`."""
    model = config.model
    return [
        ("run", f"{path} ({info.name}, {info.created})"),
        ("data", f"{info.dataset}: {sizes(info)}"),
        ("example", kind(info.spec)),
        *given(info.spec),
        ("fingerprint", info.fingerprint[:16]),
        ("model", f"{parts(model)}, {info.parameters:,} parameters"),
        ("", f"posterior {model.posterior.name}, prior {model.prior.name}, likelihood {model.likelihood.name}"),
        ("objective", objective(config)),
        (
            "plan",
            f"{plan(config.train)}, batch {config.train.batch_size}, {config.train.optimizer} at {config.train.lr:g}",
        ),
        ("trained", trained(info, history)),
        *best_pairs(history),
        ("with", f"vaekit {info.vaekit}, torch {info.torch}, python {info.python}; {info.device}, {info.precision}"),
        ("files", ", ".join(sorted(file.name for file in path.iterdir() if not file.name.startswith(".")))),
    ]


def given(spec: DataSpec) -> list[tuple[str, str]]:
    """What conditions the model, a line an entry."""
    lines: list[tuple[str, str]] = []
    for name, entry in spec.context.items():
        more = f" and {len(entry.classes) - 12} more" if len(entry.classes) > 12 else ""
        words = f"{', '.join(entry.classes[:12])}{more}" if entry.is_category else f"{entry.size} numbers"
        if not entry.is_category and entry.size == 1:
            words = f"a number, in training from {entry.low[0]:.4g} to {entry.high[0]:.4g}"
        lines.append(("given" if not lines else "", f"{name}: {words}"))
    return lines


def objective(config: Config) -> str:
    """The objective with its parameters."""
    values = ", ".join(f"{name} {value}" for name, value in config.objective.params.items())
    return f"{config.objective.name} ({values})" if values else config.objective.name


def trained(info: RunInfo, history: list[dict[str, Any]]) -> str:
    """How far, how long, and why it ended."""
    if not info.reason:
        epochs = screen.counted(len(history), "epoch")
        return f"{epochs} so far: not ended (running, or killed; go on with --resume)"
    return (
        f"{screen.counted(len(history), 'epoch')}, {screen.counted(info.steps, 'step')}, "
        f"{screen.duration(info.seconds)}; {ENDS.get(info.reason, info.reason)}"
    )


def best_pairs(history: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The held-out figures of the weights that are kept."""
    best = best_line(history)
    if best is None:
        return []
    found = best["validation"]
    bound = screen.figure(found["elbo_nats"], found["stderr"])
    return [
        ("held-out ELBO", f"{bound} nats per example ({screen.counted(found['n'], 'example')}; epoch {best['epoch']})"),
        ("", f"log-likelihood {found['log_likelihood_nats']:,.2f}, KL {found['kl_nats']:,.2f} nats"),
    ]
