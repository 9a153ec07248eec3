"""`vaekit compare`, `vaekit doctor`: runs side by side, and what is wrong with one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from vaekit.cli import screen
from vaekit.cli.base import command
from vaekit.cli.files import check_json, write_json
from vaekit.cli.options import Data, Force, Json, RunPath, Seed, Split, known_runs
from vaekit.cli.progress import bar

if TYPE_CHECKING:
    from vaekit.tasks.compare import Compared, Comparison
    from vaekit.tasks.findings import Diagnosis, Finding

FIGURES = {
    "elbo_nats": "ELBO, nats",
    "importance_weighted_nats": "importance-weighted, nats",
    "without_class_nats": "without the class, nats",
    "accuracy": "class recognized",
    "bits_per_dim": "bits/dim",
    "kl_nats": "KL, nats",
    "active_units": "active units",
    "psnr_db": "PSNR, dB",
    "ssim": "SSIM",
}
NAME, CELL = 26, 18  # columns of the terminal for names, and for each run
SIGNS = {"problem": "bold red", "warning": "bold yellow", "note": "bold blue"}


@command("vaekit compare runs/mnist runs/mnist-conv", "vaekit compare runs/* --json runs.json")
def compare(
    run: Annotated[
        list[Path],
        typer.Argument(metavar="RUN", help="Directories of runs.", show_default=False, autocompletion=known_runs),
    ],
    split: Split = "test",
    json_file: Json = None,
    force: Force = False,
) -> None:
    """Set runs side by side: figures, cost, settings that differ.

    The figures are those that vaekit evaluate has kept with each run.
    """
    from vaekit.tasks.compare import compare as task

    check_json(json_file, force)
    found = task(run, split)
    if json_file != "-":
        print_comparison(found)
    write_json(json_file, found.as_dict(), force)


def print_comparison(found: Comparison) -> None:
    """Figures below each other, as many runs beside each other as fit."""
    beside = max(1, (screen.out().width - NAME) // CELL)
    for first in range(0, len(found.runs), beside):
        part = found.runs[first : first + beside]
        names = names_of(part)
        made = screen.table("", *names, right=names, wide=["", *names])
        for label, cells in rows(part):
            made.add_row(Text(label), *(Text(cell) for cell in cells))
        screen.show(made)
    for remark in found.remarks:
        screen.note(remark)


def names_of(runs: tuple[Compared, ...]) -> list[str]:
    """The runs' directories by their last part, where that tells them apart."""
    paths = [entry.path or Path(entry.name) for entry in runs]
    distinct = len({path.name for path in paths}) == len(set(paths))
    return [path.name if distinct else str(path) for path in paths]


def rows(runs: tuple[Compared, ...]) -> list[tuple[str, list[str]]]:
    """Label, and a cell for each run."""
    made = [
        ("data", [entry.dataset for entry in runs]),
        ("parameters", [f"{entry.parameters:,}" for entry in runs]),
        ("epochs", [f"{entry.epochs:,}" for entry in runs]),
        ("training time", [screen.duration(entry.seconds) for entry in runs]),
        ("held-out ELBO, nats", [shown(entry.validation) for entry in runs]),
    ]
    for name, label in FIGURES.items():
        values = [None if entry.evaluation is None else getattr(entry.evaluation, name) for entry in runs]
        if any(value is not None for value in values):
            made.append((label, [shown(value) for value in values]))
    settings = [(key, [shown(entry.settings[key]) for entry in runs]) for key in runs[0].settings]
    return [*made, *settings]


def shown(value: Any) -> str:
    """An estimate, a number, a setting."""
    from vaekit.metrics import Estimate

    if isinstance(value, Estimate):
        return screen.figure(value.mean, value.stderr)
    return "-" if value is None else str(value)


@command("vaekit doctor runs/mnist", "vaekit doctor runs/photos --data new-photos/")
def doctor(
    run: RunPath,
    data: Data = None,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="Look at so many held-out examples.")] = 1000,
    seed: Seed = 0,
    json_file: Json = None,
    force: Force = False,
) -> None:
    """Say in plain words what is wrong, and what to change.

    Looked for: posterior collapse, inactive dimensions, the effective β, over- and underfitting, data outside the
    likelihood's domain, saturated outputs, steps that were not finite.
    """
    from vaekit import run as runs
    from vaekit.tasks.doctor import doctor as task

    check_json(json_file, force)
    loaded = runs.load(run)
    with bar("looking") as progress:
        found = task(loaded, data, n=n, seed=seed, progress=progress)
    if json_file != "-":
        print_diagnosis(str(run), found)
    write_json(json_file, found.as_dict(), force)


def print_diagnosis(name: str, found: Diagnosis) -> None:
    """The findings, the gravest first; then what was looked at."""
    for finding in found:
        screen.message(screen.out(), finding.severity, SIGNS[finding.severity], in_lines(finding))
        screen.say()
    if not len(found):
        screen.tell(f"{name}: nothing found that is wrong")
    screen.tell(f"looked at: {'; '.join(found.looked_at)}")
    if found.left_out:
        screen.tell(f"left out: {'; '.join(found.left_out)}")


def in_lines(finding: Finding) -> str:
    """What, why, and what to do."""
    return "\n".join([finding.what, *(f"  {line}" for line in finding.why.splitlines()), f"  fix: {finding.fix}"])
