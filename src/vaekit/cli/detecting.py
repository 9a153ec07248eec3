"""`vaekit detect`, `vaekit calibrate`: what is abnormal, how sure that is, and why."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from vaekit.cli import screen
from vaekit.cli.base import command
from vaekit.cli.files import check_free, check_json, target, write_json
from vaekit.cli.options import Data, Force, Json, RunPath, Seed, Split, known_runs, option, split_name
from vaekit.cli.progress import bar
from vaekit.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from vaekit.run import Run
    from vaekit.tasks.detect import Detection
    from vaekit.tasks.detect_file import FileDetection

SHOWN, PICTURED = 10, 12  # most abnormal rows on the screen; in the picture
STREAMED = (".csv", ".parquet")

Runs = Annotated[
    list[Path],
    typer.Argument(
        metavar="RUN...",
        help="A run's directory; several of the same data are averaged.",
        show_default=False,
        autocompletion=known_runs,
    ),
]
ScoreName = Annotated[
    str | None,
    option(
        "NAME",
        "elbo, reconstruction, importance_weighted, kl, error, latent_density, exemplar, regret, complexity, code_length; a "
        "sum (exemplar+error), or the highest of some (complexity|code_length). Default: chosen by measurement, these two "
        "for tables and for images.",
    ),
]
Draws = Annotated[
    int, typer.Option("--samples", metavar="K", min=0, help="Draws from q for expectations; 0: its centre, one pass.")
]


@command(
    "vaekit detect runs/table-anomaly --data new.csv -o scores.csv",
    "vaekit detect runs/table-anomaly --data new.parquet --fdr 0.05",
    "vaekit detect runs/images --data photos/",
)
def detect(
    runs: Runs,
    data: Data = None,
    split: Split = "test",
    score: ScoreName = None,
    level: Annotated[
        float | None,
        option("P", "Rows with a p-value up to this are abnormal: so many normal ones, too. Default: 0.05.", "--level"),
    ] = None,
    fdr: Annotated[
        float | None,
        option("Q", "Instead, a false discovery rate: at most this share of those called abnormal is normal.", "--fdr"),
    ] = None,
    samples: Draws = 0,
    reasons: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, help="Columns that are named for each abnormal row; 0: none, which is faster."
        ),
    ] = 3,
    limit: Annotated[int | None, option("N", "At most so many rows, evenly spaced.", "--limit", least=1)] = None,
    seed: Seed = 0,
    out: Annotated[
        str | None,
        option("FILE", "A line a row, .csv or .parquet. Default: scores.csv in the run's directory.", "-o", "--out"),
    ] = None,
    json_file: Json = None,
    force: Force = False,
) -> None:
    """Score rows: which are abnormal, how sure that is, and why.

    Each row gets a score (high is abnormal) and a p-value: the share of normal rows, which the model was not trained on,
    that score as high. Rows of tables come with their most surprising columns, and images with a picture of what surprises.
    A .csv or .parquet file of any size is scored in pieces; a stopped call goes on where it was.
    """
    from vaekit import run as store
    from vaekit.tasks.detect import LEVEL

    if level is not None and fdr is not None:
        raise ConfigError("expected --level or --fdr, got both")
    check_json(json_file, force)
    where = target(out, runs[0] / "scores.csv", force, ["csv", "parquet"])
    loaded = [store.load(run) for run in runs]
    settings: dict[str, Any] = {"score": score, "level": LEVEL if level is None else level, "fdr": fdr}
    settings |= {"samples": samples, "seed": seed, "reasons": reasons}
    if (
        data is not None
        and Path(data).suffix.lower() in STREAMED
        and loaded[0].preparation.names
        and not loaded[0].spec.context
        and limit is None
    ):
        found = in_pieces(loaded, data, where.path, settings, json_file == "-")
    else:
        found = at_once(
            loaded, data, split, limit, where.path, settings, out is not None and not force, json_file == "-"
        )
    write_json(json_file, found, force)


def in_pieces(runs: Sequence[Run], data: str, out: Path, settings: dict[str, Any], silent: bool) -> dict[str, Any]:
    """A table of any size."""
    from vaekit.tasks.detect_file import detect_file

    with bar("detecting") as progress:
        found = detect_file(
            runs, data, out, **settings, progress=lambda rows, share: progress(rows, max(rows, round(rows / share)))
        )
    if found.resumed_at:
        screen.note(f"went on from row {found.resumed_at:,}, where an earlier call was stopped")
    for remark in found.notes:
        screen.note(remark)
    if not silent:
        verdict(found)
        screen.show(
            most_abnormal(
                [(one.id, one.score, one.p_value, one.because) for one in found.most],
                any(one.because for one in found.most),
            )
        )
        screen.say(f"wrote {found.path}")
    return found.as_dict()


def at_once(
    runs: Sequence[Run],
    data: str | None,
    split: str,
    limit: int | None,
    out: Path,
    settings: dict[str, Any],
    careful: bool,
    silent: bool,
) -> dict[str, Any]:
    """Rows that fit in memory, and images; for these also a picture."""
    from vaekit import render
    from vaekit.tasks.detect import detect as task

    drawn = render.drawable(runs[0].spec)
    picture = out.with_suffix(".png")
    if drawn and careful:
        check_free(picture, False)
    with bar("detecting") as progress:
        found = task(runs, data, split_name(split), **settings, n=limit, progress=progress)
    found.save(out)
    for remark in found.notes:
        screen.note(remark)
    if drawn:
        render.save(heat_maps(runs, data, split, found.numbers[found.most(PICTURED)]), picture)
    if not silent:
        verdict(found)
        screen.show(listed(found))
        screen.say("\n".join(f"wrote {path}" for path in ([out, picture] if drawn else [out])))
    return found.as_dict()


def verdict(found: Detection | FileDetection) -> None:
    """How many rows are abnormal, and by which rule."""
    n, abnormal = found.n, found.count
    screen.tell(f"{abnormal:,} of {screen.counted(n, 'row')} of {found.dataset} abnormal, by the score {found.score}")
    rule = (
        f"at a false discovery rate of {found.fdr:g} (Benjamini and Hochberg)"
        if found.fdr is not None
        else f"at a level of {found.level:g}: about that share of normal rows is called abnormal, too"
    )
    screen.say(f"  {rule}")
    screen.say(f"  compared with {found.calibration_rows:,} normal rows: {found.calibrated_on}")
    if found.auroc is not None:
        screen.say(f"  by the labels ('{found.normal}' is normal): AUROC {found.auroc:.4f}")


def listed(found: Detection) -> object:
    """The most abnormal rows, and why."""
    names = found.spec.names or tuple(f"x{i}" for i in range(found.spec.dimensions))
    rows = []
    for position in found.most(SHOWN).tolist():
        because = ""
        if found.reasons is not None and (column := int(found.reasons.column[position, 0])) >= 0:
            value, expected = found.reasons.value[position, 0], found.reasons.expected[position, 0]
            because = f"{names[column]} is {value:.4g}, expected {expected:.4g}"
        rows.append(
            (str(found.verdicts.ids[position]), float(found.scores[position]), float(found.p_values[position]), because)
        )
    return most_abnormal(rows, found.reasons is not None)


def most_abnormal(rows: Sequence[tuple[str, float, float, str]], reasons: bool) -> object:
    """A table of ids, scores, p-values and reasons."""
    made = screen.table("most abnormal", "score", "p-value", *(["because"] * reasons), right=["score", "p-value"])
    for name, score, p, because in rows:
        made.add_row(*(Text(cell) for cell in [name, f"{score:.4g}", f"{p:.2g}", *([because] * reasons)]))
    return made


def heat_maps(runs: Sequence[Run], data: str | None, split: str, numbers: Tensor) -> Any:
    """The most abnormal images, what was expected of them, and where they differ."""
    from vaekit import render
    from vaekit.tasks.attribute import attribute

    found = attribute(runs, data, split_name(split), indices=numbers.tolist())
    spec = runs[0].spec
    if spec.shape[0] not in (1, 3) or found.nats.ndim != 3:
        return render.pairs(found.inputs, found.expected, spec)
    window = render.Window.of(spec, found.inputs, found.expected)
    heat, coloured = render.overlay(found.inputs, found.nats, spec, window)
    plain = [render.as_colour(x, spec, window) for x in (found.inputs, found.expected)]
    labels = ("most abnormal", "expected", "surprising")
    strips = [render.Strip(label, x) for label, x in zip(labels, [*plain, heat], strict=True)]
    return render.rows(strips, coloured, together=3)


@command(
    "vaekit calibrate runs/table-anomaly --data normal.csv",
    "vaekit calibrate runs/images --data good/ --contamination 0.01",
)
def calibrate(
    run: RunPath,
    data: Data = None,
    score: ScoreName = None,
    samples: Draws = 0,
    contamination: Annotated[
        float, typer.Option(metavar="SHARE", help="Of these rows, so many are in truth abnormal: they are left out.")
    ] = 0.0,
    seed: Seed = 0,
) -> None:
    """Compare with other normal rows from now on; nothing is trained.

    They set what p-values and thresholds mean: give rows that are normal where the run is used, and that it was not trained
    on. Without --data: the run's validation split.
    """
    from vaekit import run as store
    from vaekit.tasks.calibrate import calibrate as task

    with bar("calibrating") as progress:
        made = task(
            store.load(run),
            data,
            score=score,
            samples=samples,
            contamination=contamination,
            seed=seed,
            progress=progress,
        )
    screen.tell(
        f"{screen.counted(len(made), 'normal row')} of {made.source}; the smallest p-value is {1 / (len(made) + 1):.2g}"
    )
    screen.say(f"wrote {run / 'calibration.safetensors'}")
    screen.commands("next", [f"vaekit detect {run} --data PATH"])
