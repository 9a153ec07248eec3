"""`vaekit tune`: a search for a better configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from vaekit.cli import screen
from vaekit.cli.base import TRAIN, command
from vaekit.cli.files import check_json, write_json
from vaekit.cli.options import Force, Json, Seed, option
from vaekit.cli.training import Data, DataDir, Quiet, Settings, checked, recipes_like

if TYPE_CHECKING:
    from vaekit.tasks.study import Sampler, TrialRecord, Tuned

What = Annotated[
    str,
    typer.Argument(
        metavar="RECIPE", help="A recipe's name or a YAML file.", show_default=False, autocompletion=recipes_like
    ),
]


@command(
    "vaekit tune digits --time 5m",
    "vaekit tune array --data table.npy --trials 50 --time 20m --space space.yaml",
    "vaekit tune mnist --time 8h --storage sqlite:///study.db --out tuned/mnist",
    panel=TRAIN,
)
def tune(
    ctx: typer.Context,
    what: What,
    trials: Annotated[int | None, option("N", "At most so many trials in the study.", "--trials", least=1)] = None,
    time: Annotated[str | None, option("TIME", "Search this long (90s, 20m, 8h): it is kept.")] = None,
    data: Data = None,
    data_dir: DataDir = None,
    settings: Settings = None,
    space: Annotated[
        str | None, option("FILE", "YAML of fields and ranges: train.lr: {float: [1e-4, 1e-2], log: true}.")
    ] = None,
    metric: Annotated[
        str, typer.Option(metavar="NAME", help="What is searched for, on held-out data: any figure of vaekit evaluate.")
    ] = "elbo_nats",
    sampler: Annotated[str, typer.Option(metavar="NAME", help="tpe, or random for comparison.")] = "tpe",
    storage: Annotated[
        str | None, option("URL", "A database for the study (sqlite:///..., postgresql://...), in the place of a file.")
    ] = None,
    out: Annotated[str | None, option("DIR", "The study's directory. Default: tuned/NAME; again: it goes on.")] = None,
    seed: Seed = 0,
    json_file: Json = None,
    force: Force = False,
    quiet: Quiet = False,
) -> None:
    """Search for a better configuration of a recipe.

    The recipe itself is the first trial, so the result is never worse. Trials are measured on held-out data; those that fall
    behind are stopped. Ctrl-C ends the search; the same command goes on with it, also from several terminals at once (give
    each its own --seed).
    """
    from vaekit.tasks.tune import tune as task

    check_json(json_file, force)
    silent = quiet or json_file == "-"
    try:
        found = task(
            what,
            data,
            trials=trials,
            time=None if time is None else checked(time),
            space=space,
            storage=storage,
            metric=metric,
            sampler=cast("Sampler", sampler),
            data_dir=data_dir,
            overrides=settings or [],
            out=out,
            seed=seed,
            heard=None if silent else told,
            started=ctx.obj if isinstance(ctx.obj, float) else None,
        )
    except KeyboardInterrupt:
        screen.note("the trials that were finished are kept: the same command goes on with the search")
        raise
    page = written(found)
    if json_file != "-":
        ended(found, page)
    write_json(json_file, found.as_dict(), force)


def told(trial: TrialRecord, best: TrialRecord | None) -> None:
    """A line for every trial."""
    value = trial.state if trial.value is None else f"{trial.value:.5g}"
    mark = " *" if best is not None and best.number == trial.number else ""
    fields = ", ".join(f"{key.rpartition('.')[2]} {short(value)}" for key, value in trial.params.items())
    words = "the recipe as it is" if trial.recipe else trial.error or fields
    screen.say(f"{trial.number:>4}  {value + mark:<12} {trial.seconds:>5.0f} s  {words}")


def short(value: object) -> str:
    """A field's value in few letters."""
    return f"{value:.2g}" if isinstance(value, float) else str(value)


def written(found: Tuned) -> Path | None:
    """The page, where it can be drawn."""
    from vaekit.errors import MissingExtraError
    from vaekit.report.study import study_report

    try:
        return study_report(found)
    except MissingExtraError as error:
        screen.note(str(error))
        return None


def ended(found: Tuned, page: Path | None) -> None:
    """What came of it, and what to do next."""
    states = [trial.state for trial in found.trials]
    counts = ", ".join(
        f"{states.count(state)} {state}" for state in ("complete", "pruned", "failed") if state in states
    )
    screen.tell(f"best {found.metric} {found.best.value:.5g} in trial {found.best.number} ({counts})")
    if found.recipe is not None and found.recipe.value is not None:
        screen.say(f"  the recipe as it is: {found.recipe.value:.5g}")
    screen.say(f"wrote {found.config}" + (f"\nwrote {page}" if page else ""))
    again = [f"vaekit train {found.config}"]
    screen.commands("next", [*again, f"vaekit evaluate {found.run}"] if found.run else again)
