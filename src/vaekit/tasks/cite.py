"""What to cite for a run."""

from __future__ import annotations

from dataclasses import asdict

from vaekit.citations import ENTRIES, used_by
from vaekit.config import PARTS
from vaekit.run import Run
from vaekit.tasks.evaluate import kept

BASE = ("kingma2014", "rezende2014", "paszke2019")  # the model itself, and what it runs on


def cite(run: Run) -> str:
    """BibTeX of the methods that a run uses, as its configuration says; parts of your own are named in a comment."""
    keys = sorted({*BASE, *methods(run)}, key=list(ENTRIES).index)
    own = sorted({name for _, name, _ in members(run) if ":" in name})
    remarks = [f"% {name} is not part of vaekit: cite what its author asks for" for name in own]
    return "\n\n".join([*remarks, *(ENTRIES[key] for key in keys)]) + "\n"


def methods(run: Run) -> list[str]:
    """The keys of what the parts of a run use."""
    found = [key for family, name, params in members(run) for key in used_by(f"{family}/{name}", params)]
    found += used_by("train", asdict(run.plan))
    measured = run.path is not None and any(kept(run.path, split) for split in ("train", "validation", "test"))
    return [*found, "burda2016"] if measured else found


def members(run: Run) -> list[tuple[str, str, dict[str, object]]]:
    """Family, name and parameters (with the data's levels among them) of every part."""
    config = run.config
    used = [part for part in PARTS if part != "context" or run.spec.context]
    parts = [config.data, config.objective, *(getattr(config.model, part) for part in used)]
    return [(part.family, part.name, {**part.params, "levels": run.spec.levels}) for part in parts]
