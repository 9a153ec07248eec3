"""`vaekit train`: from data to a run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaekit.cli import screen, summary
from vaekit.cli.base import TRAIN, command
from vaekit.cli.options import known_runs
from vaekit.cli.progress import TrainingDisplay
from vaekit.errors import ConfigError, VaekitError

if TYPE_CHECKING:
    from vaekit.engine.fit import Hook
    from vaekit.run import Run


def recipes_like(incomplete: str) -> list[str]:
    """Recipe names, for the shell's completion."""
    from vaekit import recipes

    return [name for name in recipes.recipe_names() if name.startswith(incomplete)]


@command(
    "vaekit train digits",
    "vaekit train mnist --data-dir ~/data --time 10m --set model.latent=16",
    "vaekit train images --data photos/ --out runs/photos",
    "vaekit train --resume runs/mnist --time 5m",
    panel=TRAIN,
)
def train(
    ctx: typer.Context,
    what: Annotated[
        str | None,
        typer.Argument(
            metavar="WHAT",
            help="A recipe's name (see [cyan]vaekit list[/cyan]) or a YAML file. Not needed with --resume.",
            show_default=False,
            autocompletion=recipes_like,
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(metavar="PATH", help="Your data: a folder of images, a .npy or .npz file.", show_default=False),
    ] = None,
    data_dir: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Where named data sets lie (else the environment variable VAEKIT_DATA).",
            show_default=False,
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change one value of the recipe; may be repeated.", show_default=False
        ),
    ] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="DIR", help="The run's directory, new or empty. Default: runs/NAME, numbered.", show_default=False
        ),
    ] = None,
    resume: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Go on with a run, to the bit; longer with --time.",
            show_default=False,
            autocompletion=known_runs,
        ),
    ] = None,
    init_from: Annotated[
        str | None,
        typer.Option(
            metavar="RUN",
            help="Start from the weights of a run (fine-tune).",
            show_default=False,
            autocompletion=known_runs,
        ),
    ] = None,
    time: Annotated[
        str | None,
        typer.Option(
            metavar="TIME", help="Train this long (90s, 10m, 1h30m), whatever number of epochs.", show_default=False
        ),
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="N", min=0, help="Of the weights and the noise.", show_default=False)
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; the run's directory alone.")] = False,
) -> None:
    """Train a model on data and keep it as a run.

    Progress shows the bound (ELBO) in nats per example: of the training batches, and of held-out data, on which the
    weights to keep are selected. Ctrl-C saves, and says how to go on. A run is never overwritten.
    """
    overrides = list(settings or [])
    if seed is not None:
        overrides.append(f"train.seed={seed}")
    started = ctx.obj if isinstance(ctx.obj, float) else None
    if resume is not None:
        only_new = {"--data": data, "--data-dir": data_dir, "--out": out, "--init-from": init_from}
        refuse_with_resume(resume, [name for name, value in only_new.items() if value is not None])
        go_on(resume, what, overrides, time, quiet, started)
        return
    if what is None:
        raise ConfigError(
            "train what? Expected the name of a recipe or a YAML file.\n"
            "  fix: vaekit train digits; or your own data: vaekit train images --data FOLDER; or go on: --resume RUN\n"
            "  all recipes: vaekit list recipes"
        )
    begin(what, {"data": data, "data_dir": data_dir, "init_from": init_from}, overrides, out, time, quiet, started)


def refuse_with_resume(run: str, given: list[str]) -> None:
    """Raise `ConfigError` for options that begin a new run."""
    if given:
        verb = "does not go" if len(given) == 1 else "do not go"
        raise ConfigError(
            f"{', '.join(given)} {verb} with --resume, which goes on with the run's own data in its own directory.\n"
            f"  fix: leave {'it' if len(given) == 1 else 'them'} out, or begin a new run from these weights: --init-from {run}"
        )


def begin(
    what: str,
    source: dict[str, str | None],
    overrides: list[str],
    out: str | None,
    time: str | None,
    quiet: bool,
    started: float | None,
) -> None:
    """A new run."""
    from vaekit import recipes
    from vaekit.tasks import train as task

    refuse_data(what)
    if time is not None:
        overrides = [*limit(time), *overrides]
    path = Path(out) if out is not None else task.numbered(Path("runs") / recipes.read(what).name)
    follow(
        path,
        quiet,
        lambda hook: task.train(what, overrides=overrides, out=path, hooks=[hook], started=started, **source),
    )


def refuse_data(what: str) -> None:
    """Raise `ConfigError` where data, or a run, stands in the place of a recipe."""
    from vaekit import recipes

    path = Path(what)
    if what in recipes.recipe_names() or not path.exists() or path.suffix.lower() in (".yaml", ".yml"):
        return
    if (path / "run.json").exists():
        raise ConfigError(
            f"{what}: expected a recipe or a YAML file, got a run.\n"
            f"  fix: go on with it: vaekit train --resume {what}; or train its configuration anew: "
            f"vaekit train {path / 'config.yaml'}"
        )
    if path.is_dir() or path.suffix.lower() in (".npy", ".npz"):
        raise ConfigError(
            f"{what}: expected a recipe or a YAML file, got what looks like data.\n"
            f"  fix: vaekit train {'images' if path.is_dir() else 'array'} --data {what}"
        )


def go_on(
    run: str, what: str | None, overrides: list[str], time: str | None, quiet: bool, started: float | None
) -> None:
    """The same run, further."""
    from vaekit.tasks import train as task

    if time is not None:
        overrides = [limit(time)[1], *overrides]
    follow(
        Path(run),
        quiet,
        lambda hook: task.resume(run, what=what, overrides=overrides, time=time, hooks=[hook], started=started),
    )


def limit(time: str) -> list[str]:
    """A time to train for replaces the recipe's number of epochs. Raises `ConfigError` for what is no duration."""
    from vaekit.schedules import seconds

    try:
        seconds(time)
    except ValueError as error:
        raise ConfigError(f"--time: {error}") from None
    return [f"train.time={time}", "train.epochs=null"]


def follow(path: Path, quiet: bool, work: Callable[[Hook], Run]) -> None:
    """Train with a display; then say what came of it, and what to do next."""
    display = TrainingDisplay(lambda: summary.announce(path, quiet), quiet)
    try:
        run = work(display)
    except KeyboardInterrupt:  # the second Ctrl-C, or one before training began
        display.close(done=False)
        summary.stopped_at_once(path)
        raise typer.Exit(130) from None
    except BaseException as error:
        display.close(done=False)
        if isinstance(error, VaekitError) and display.begun:
            error.add_note(summary.remains(path))
        raise
    interrupted = run.info.reason == "interrupted"
    display.close(done=not interrupted)
    if quiet:
        screen.say(str(path))
    else:
        summary.ended(run, path)
    if interrupted:
        summary.stopped(run, path)
        raise typer.Exit(130)
