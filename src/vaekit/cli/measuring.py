"""`vaekit evaluate`: the figures of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from vaekit.cli import screen
from vaekit.cli.base import command
from vaekit.cli.files import check_json, write_json
from vaekit.cli.options import Data, Force, Json, RunPath, Seed, Split, split_name
from vaekit.cli.progress import bar

if TYPE_CHECKING:
    from rich.table import Table

    from vaekit.metrics import Estimate
    from vaekit.tasks.evaluate import ByClass, Evaluation

SHOWN_DIMENSIONS = 24


@command(
    "vaekit evaluate runs/mnist",
    "vaekit evaluate runs/mnist --samples 5000 --limit 500",
    "vaekit evaluate runs/mnist --json - | jq .elbo_nats",
)
def evaluate(
    run: RunPath,
    split: Split = "test",
    samples: Annotated[
        int, typer.Option(metavar="K", min=1, help="Importance samples an example: more, a tighter bound.")
    ] = 512,
    data: Data = None,
    limit: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="At most so many examples, evenly spaced.", show_default=False),
    ] = None,
    classes: Annotated[
        bool, typer.Option(help="Of a conditional run: also the bound without the class, and the classifier it makes.")
    ] = True,
    seed: Seed = 0,
    json_file: Json = None,
    force: Force = False,
) -> None:
    """Measure a run on held-out data, with standard errors.

    The result is kept in the run's directory as evaluation-SPLIT.json.
    """
    from vaekit import run as runs
    from vaekit.tasks.evaluate import evaluate as task

    check_json(json_file, force)
    loaded = runs.load(run)
    with bar("evaluating") as progress:
        found = task(
            loaded,
            split_name(split),
            samples,
            data=data,
            limit=limit,
            seed=seed,
            by_class=classes,
            progress=progress,
        )
    if json_file != "-":
        print_evaluation(found)
    write_json(json_file, found.as_dict(), force)


def print_evaluation(found: Evaluation) -> None:
    """A table of figures, and what each is in a few words."""
    what = f"{found.dataset}, {found.split}" if found.split else found.dataset
    screen.show(Text(f"{found.run} on {what}: {screen.counted(found.n, 'example')}, {found.units}", style="bold"))
    made = screen.table("figure", "mean ± error", "unit", "what it is", right=["mean ± error"], wide=["what it is"])
    for name, value, unit, meaning in figures(found):
        made.add_row(Text(name), Text(value), Text(unit), Text(meaning))
    screen.show(made)
    kl = sorted(found.kl_per_dimension, reverse=True)
    shown = "  ".join(f"{value:.2f}" for value in kl[:SHOWN_DIMENSIONS])
    more = f"  and {len(kl) - SHOWN_DIMENSIONS} more" if len(kl) > SHOWN_DIMENSIONS else ""
    screen.show(Text.assemble(("KL per dimension, nats  ", "bold"), shown + more))
    if found.by_class is not None and found.by_class.classes:
        screen.show(class_table(found.by_class))
    for remark in found.notes:
        screen.note(remark)


def class_table(found: ByClass) -> Table:
    """One line for each class of a conditional model, and one for all of them."""
    made = screen.table(
        found.entry, "examples", "log p(x | class), nats", "recognized", right=["examples", "recognized"]
    )
    for part in found.classes:
        value = part.importance_weighted_nats
        made.add_row(
            Text(part.name),
            Text(str(value.n)),
            Text(screen.figure(value.mean, value.stderr)),
            Text(f"{part.accuracy:.1%}"),
        )
    return made


def figures(found: Evaluation) -> list[tuple[str, str, str, str]]:
    """Name, value, unit, meaning of every figure that exists for this data."""
    lossless = "lossless code" if "log-probabilities" in found.units else "of the tighter bound"
    rows: list[tuple[str, Estimate | None, str, str]] = [
        ("ELBO", found.elbo_nats, "nats", "what training maximizes"),
        ("importance-weighted", found.importance_weighted_nats, "nats", f"tighter, from {found.samples} samples"),
        *class_rows(found),
        ("bits/dim", found.bits_per_dim, "bits", f"{lossless}, per number"),
        ("ELBO bits/dim", found.elbo_bits_per_dim, "bits", "the same of the ELBO"),
        ("log p(x | z)", found.log_likelihood_nats, "nats", "how well latents explain data"),
        ("KL", found.kl_nats, "nats", "what the latents tell"),
        *((f"KL of {name}", value, "nats", "of this group") for name, value in found.kl_per_group.items() if several(found)),
        ("effective samples", found.effective_samples, "", f"of {found.samples}; few: a loose bound"),
        ("MSE", found.mse, "units²", "of reconstructions"),
        ("PSNR", found.psnr_db, "dB", "of reconstructions"),
        ("SSIM", found.ssim, "", "of reconstructions; 1: equal"),
        ("MS-SSIM", found.ms_ssim, "", f"the same over {found.ms_ssim_scales} scales"),
    ]  # fmt: skip
    shown = [(name, screen.figure(value.mean, value.stderr), unit, why) for name, value, unit, why in rows if value]
    units = (
        "active units",
        f"{found.active_units} of {found.latent_dimensions}",
        "",
        "latents that vary with data",
    )
    spread = ("effective dimensions", f"{found.effective_dimensions:.1f}", "", "latents that share the KL")
    position = [name for name, *_ in shown].index("MSE")
    return [*shown[:position], units, spread, *shown[position:]]


def class_rows(found: Evaluation) -> list[tuple[str, Estimate | None, str, str]]:
    """The figures of a conditional model where the class is not given."""
    if found.by_class is None:
        return []
    name = found.by_class.entry
    return [
        (f"without {name}", found.by_class.marginal_nats, "nats", f"the same, summed over every {name}"),
        ("accuracy", found.by_class.accuracy, "", f"of {name} by Bayes' rule"),
    ]


def several(found: Evaluation) -> bool:
    """Whether there is more than one latent group."""
    return len(found.kl_per_group) > 1
