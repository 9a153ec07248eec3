"""`vaekit train`: from data to a run."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vaekit.cli import screen, summary
from vaekit.cli.base import TRAIN, command
from vaekit.cli.options import known_runs, option
from vaekit.cli.progress import TrainingDisplay
from vaekit.errors import ConfigError, VaekitError

if TYPE_CHECKING:
    from vaekit.engine.fit import Hook
    from vaekit.run import Run


def recipes_like(incomplete: str) -> list[str]:
    """Recipe names, for the shell's completion."""
    from vaekit import recipes

    return [name for name in recipes.recipe_names() if name.startswith(incomplete)]


What = Annotated[
    str | None,
    typer.Argument(
        metavar="WHAT",
        help="A recipe's name (see [cyan]vaekit list[/cyan]) or a YAML file. Not needed with --resume.",
        show_default=False,
        autocompletion=recipes_like,
    ),
]
Data = Annotated[str | None, option("PATH", "Your data: a folder of images, a .csv, .parquet, .npy or .npz file.")]
DataDir = Annotated[str | None, option("DIR", "Where named data sets lie (else the environment variable VAEKIT_DATA).")]
Settings = Annotated[list[str] | None, option("KEY=VALUE", "Change one value of the recipe; may be repeated.", "--set")]
Out = Annotated[str | None, option("DIR", "The run's directory, new or empty. Default: runs/NAME, numbered.")]
Resume = Annotated[str | None, option("RUN", "Go on with a run, to the bit; longer with --time.", complete=known_runs)]
InitFrom = Annotated[str | None, option("RUN", "Start from the weights of a run (fine-tune).", complete=known_runs)]
Time = Annotated[str | None, option("TIME", "Train this long (90s, 10m, 1h30m), whatever number of epochs or steps.")]
Seed = Annotated[int | None, typer.Option(metavar="N", min=0, help="Of the weights and the noise.", show_default=False)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress; the run's directory alone.")]


@dataclass(frozen=True)
class Wanted:
    """What was asked for, but for the recipe and where its data is."""

    overrides: list[str]
    time: str | None
    quiet: bool
    started: float | None  # the `time.perf_counter()` from which a budget counts


@command(
    "vaekit train digits",
    "vaekit train mnist --data-dir ~/data --time 10m --set model.latent=16",
    "vaekit train images --data photos/ --out runs/photos",
    "vaekit train --resume runs/mnist --time 5m",
    panel=TRAIN,
)
def train(
    ctx: typer.Context,
    what: What = None,
    data: Data = None,
    data_dir: DataDir = None,
    settings: Settings = None,
    out: Out = None,
    resume: Resume = None,
    init_from: InitFrom = None,
    time: Time = None,
    seed: Seed = None,
    quiet: Quiet = False,
) -> None:
    """Train a model on data and keep it as a run.

    Progress shows the bound (ELBO) in nats per example: of the training batches, and of held-out data, on which the
    weights to keep are selected. Ctrl-C saves, and says how to go on. A run is never overwritten.
    """
    overrides = [*(settings or []), *([f"train.seed={seed}"] if seed is not None else [])]
    wanted = Wanted(overrides, time, quiet, ctx.obj if isinstance(ctx.obj, float) else None)
    if resume is not None:
        only_new = {"--data": data, "--data-dir": data_dir, "--out": out, "--init-from": init_from}
        refuse_with_resume(resume, [name for name, value in only_new.items() if value is not None])
        go_on(resume, what, wanted)
        return
    if what is None:
        raise ConfigError(
            "train what? Expected the name of a recipe or a YAML file.\n"
            "  fix: vaekit train digits; or your own data: vaekit train images --data FOLDER; or go on: --resume RUN\n"
            "  all recipes: vaekit list recipes"
        )
    begin(what, {"data": data, "data_dir": data_dir, "init_from": init_from}, out, wanted)


def refuse_with_resume(run: str, given: list[str]) -> None:
    """Raise `ConfigError` for options that begin a new run."""
    if given:
        verb = "does not go" if len(given) == 1 else "do not go"
        raise ConfigError(
            f"{', '.join(given)} {verb} with --resume, which goes on with the run's own data in its own directory.\n"
            f"  fix: leave {'it' if len(given) == 1 else 'them'} out, or begin a new run from these weights: --init-from {run}"
        )


def begin(what: str, source: dict[str, str | None], out: str | None, wanted: Wanted) -> None:
    """A new run."""
    from vaekit import recipes
    from vaekit.tasks import train as task

    refuse_data(what)
    overrides = [*limit(wanted.time), *wanted.overrides]
    path = Path(out) if out is not None else task.numbered(Path("runs") / recipes.read(what).name)

    def work(hook: Hook) -> Run:
        return task.train(what, overrides=overrides, out=path, hooks=[hook], started=wanted.started, **source)

    follow(path, wanted.quiet, work)


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
    if path.is_dir() or path.suffix.lower() in (".npy", ".npz", ".csv", ".parquet"):
        raise ConfigError(
            f"{what}: expected a recipe or a YAML file, got what looks like data.\n"
            f"  fix: vaekit train {'images' if path.is_dir() else 'array'} --data {what}"
        )


def go_on(run: str, what: str | None, wanted: Wanted) -> None:
    """The same run, further."""
    from vaekit.tasks import train as task

    time = None if wanted.time is None else checked(wanted.time)
    overrides, started = wanted.overrides, wanted.started

    def work(hook: Hook) -> Run:
        return task.resume(run, what=what, overrides=overrides, time=time, hooks=[hook], started=started)

    follow(Path(run), wanted.quiet, work)


def limit(time: str | None) -> list[str]:
    """A time to train for replaces the recipe's number of epochs and steps."""
    return [] if time is None else [f'train.time="{checked(time)}"', "train.epochs=null", "train.steps=null"]


def checked(time: str) -> str:
    """A duration as it was given. Raises `ConfigError` for what is none."""
    from vaekit.schedules import seconds

    try:
        seconds(time)
    except ValueError as error:
        raise ConfigError(f"--time: {error}") from None
    return time


def follow(path: Path, quiet: bool, work: Callable[[Hook], Run]) -> None:
    """Train with a display; then say what came of it, and what to do next."""
    from vaekit.tasks.train import Interrupted

    display = TrainingDisplay(lambda: summary.announce(path, quiet), quiet)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Interrupted)  # said below, with the command that goes on
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
