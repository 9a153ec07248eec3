"""Where results go, and in what form.

A default place in the run's directory may be replaced; a file that was asked for is never overwritten unasked.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from vaekit.cli import screen
from vaekit.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from vaekit.core import DataSpec

SHOWN, MOST_ROWS = 40, 100  # examples in a row of a picture; rows
PICTURES = (".png", ".webp", ".bmp", ".tif", ".tiff")
Form = Literal["picture", "npz", "csv", "parquet", "folder"]
FORMS: dict[Form, str] = {
    "picture": "a picture (.png)",
    "npz": "arrays (.npz)",
    "csv": "a table (.csv)",
    "parquet": "a table (.parquet)",
    "folder": "a folder (no suffix)",
}
SUFFIXES: dict[str, Form] = {".npz": "npz", ".csv": "csv", ".parquet": "parquet"}


@dataclass(frozen=True)
class Target:
    """Where to write, and as what."""

    path: Path
    form: Form


def target(output: str | None, default: Path, force: bool, forms: Sequence[Form]) -> Target:
    """Where the result goes, decided before the work begins: `output`, or the default place.

    Raises `ConfigError` if `output` is there already and may not be replaced, or if its name says no form of `forms`.
    """
    path = default if output is None else Path(output)
    if output is not None:
        check_free(path, force)
    form: Form = "picture" if path.suffix.lower() in PICTURES else "folder"
    if path.suffix.lower() in SUFFIXES:
        form = SUFFIXES[path.suffix.lower()]
    elif form == "folder" and path.suffix and not path.is_dir() and not str(output).endswith(os.sep):
        form = "picture"
    if form not in forms or (form == "picture" and path.suffix.lower() not in PICTURES):
        raise ConfigError(f"{output}: expected the name of {', or '.join(FORMS[form] for form in forms)}")
    return Target(path, form)


def check_free(path: Path, force: bool) -> None:
    """Raise `ConfigError` if something stands there that may not be replaced; an empty folder is nothing."""
    taken = path.exists() and not (path.is_dir() and not any(path.iterdir()))
    if taken and not force:
        raise ConfigError(f"{path}: exists already and is not overwritten.\n  fix: another name, or --force")


def write_new(path: Path, text: str, force: bool) -> None:
    """Write a text file whole or not at all, where nothing stands yet."""
    check_free(path, force)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)


# --- JSON ----------------------------------------------------------------------------------------------------------


def check_json(json_file: str | None, force: bool) -> None:
    """Refuse a place that is taken, before the work begins."""
    if json_file not in (None, "-"):
        check_free(Path(str(json_file)), force)


def write_json(json_file: str | None, values: dict[str, Any], force: bool) -> None:
    """Write JSON where it is wanted; on standard output nothing else may go then."""
    text = json.dumps(values, indent=1) + "\n"
    if json_file == "-":
        sys.stdout.write(text)
    elif json_file is not None:
        write_new(Path(json_file), text, force)
        screen.say(f"wrote {json_file}")


# --- examples --------------------------------------------------------------------------------------------------------


def forms_of(spec: DataSpec) -> tuple[Form, ...]:
    """What examples can be written as."""
    from vaekit import render

    return ("picture", "npz", "folder") if render.drawable(spec) else ("npz", "csv", "picture")


def default_name(spec: DataSpec, stem: str) -> str:
    """A picture where an example is one, else arrays."""
    return f"{stem}.png" if forms_of(spec)[0] == "picture" else f"{stem}.npz"


@dataclass(frozen=True)
class Examples:
    """Examples in data units with their latents; equally many under each of some conditions, one after the other."""

    x: Tensor  # (n, *shape)
    latents: Tensor  # (n, d)
    conditions: Sequence[str] = ()
    context: Mapping[str, Tensor] = field(default_factory=dict)  # (n,) or (n, size) each
    sorted_by: str = ""  # the entry whose classes are sub-folders, if any


def write_examples(where: Target, made: Examples, spec: DataSpec) -> None:
    """Write examples: a grid (a row for each condition), single files (a sub-folder for each), arrays, or a table."""
    from vaekit import render
    from vaekit.data.attributes import ATTRIBUTES
    from vaekit.tasks import records

    x, several = made.x, len(made.conditions) > 1
    if where.form == "picture" and several:
        strips = [render.Strip(name, row) for name, row in rows_of_picture(made)]
        render.save(render.rows(strips, spec), where.path)
    elif where.form == "picture":
        render.save(render.picture(x, spec), where.path)
    elif where.form == "folder":
        names = file_names(made, spec)
        render.save_each(whole(x, spec), where.path, spec, names=names)
        if made.context and names:
            records.write(where.path / ATTRIBUTES, attributes(made, names, spec))
    elif where.form == "npz":
        records.write(where.path, archive(made, spec))
    else:
        header, beside = spec.names or tuple(f"x_{number}" for number in range(x.shape[1])), columns(made, spec)
        lines = ([*row, *more] for row, more in zip(x.tolist(), rows_of(beside, len(x)), strict=True))
        records.write(where.path, records.to_csv([*header, *beside], lines))


def rows_of_picture(made: Examples) -> list[tuple[str, Tensor]]:
    """A row for each condition; of one example each, a row for all values of the last entry (a sweep from left to right).

    Raises `ConfigError` for more rows than a picture can show.
    """
    each = made.x.reshape(len(made.conditions), -1, *made.x.shape[1:])[:, :SHOWN]
    if each.shape[1] > 1:
        rows = list(zip(made.conditions, each, strict=True))
    else:
        swept: dict[str, list[int]] = {}
        for number, name in enumerate(made.conditions):
            swept.setdefault(name.rpartition(", ")[0], []).append(number)
        rows = [(name_of_sweep(made.conditions, numbers), each[numbers, 0]) for numbers in swept.values()]
    if len(rows) > MOST_ROWS:
        raise ConfigError(
            f"expected at most {MOST_ROWS} conditions in a picture, got {len(rows)}.\n  fix: -o a folder or an .npz file"
        )
    return rows


def name_of_sweep(conditions: Sequence[str], numbers: Sequence[int]) -> str:
    """`label=3, ink=3 to 7`, of the conditions with these numbers."""
    first, last = conditions[numbers[0]], conditions[numbers[-1]].rpartition("=")[2]
    return first if len(numbers) == 1 else f"{first} to {last}"


def file_names(made: Examples, spec: DataSpec) -> list[str] | None:
    """A sub-folder for each class or each condition, as the source `images` reads classes: `7/0000`. None: no folders."""
    if made.sorted_by:
        classes = spec.context[made.sorted_by].classes
        folders = [folder_name(classes[int(number)]) for number in made.context[made.sorted_by]]
    elif len(made.conditions) > 1:
        count = len(made.x) // len(made.conditions)
        distinct = [f"{number:03d} {name}" for number, name in enumerate(made.conditions)]
        folders = [folder_name(name) for name in distinct for _ in range(count)]
    else:
        return None
    seen: dict[str, int] = {}
    names = []
    for folder in folders:
        seen[folder] = seen.get(folder, -1) + 1
        names.append(f"{folder}/{seen[folder]:04d}")
    return names


def rows_of(found: Mapping[str, Sequence[Any]], count: int) -> list[list[Any]]:
    """Columns by name as one list a row."""
    return [[values[i] for values in found.values()] for i in range(count)]


def folder_name(name: str) -> str:
    """A class as the name of a folder that is read back as a class: no path, nothing hidden, no split."""
    from vaekit.data.folder import SPLITS

    plain = name.replace("/", "-").replace("\\", "-").strip() or "-"
    return f"class {plain}" if plain.startswith((".", "__MACOSX")) or plain.lower() in SPLITS else plain


def whole(x: Tensor, spec: DataSpec) -> Tensor:
    """Levels rounded to whole numbers, so that a picture is read back as the array is; continuous data as it is."""
    return x if spec.levels is None else x.round().clamp(0, spec.levels - 1)


def columns(made: Examples, spec: DataSpec) -> dict[str, list[Any]]:
    """What the examples were conditioned on, by name: classes by theirs, numbers; empty where unknown."""
    found: dict[str, list[Any]] = {}
    for name, values in made.context.items():
        entry = spec.context[name]
        if entry.is_category:
            found[name] = ["" if number < 0 else entry.classes[number] for number in values.tolist()]
        else:
            names = [name] if entry.size == 1 else [f"{name}_{i}" for i in range(entry.size)]
            found |= {key: values[:, i].tolist() for i, key in enumerate(names)}
    return found


def attributes(made: Examples, names: Sequence[str], spec: DataSpec) -> bytes:
    """A table of all files, as `data.attributes` takes it."""
    from vaekit.tasks import records

    found = columns(made, spec)
    return records.to_csv(["file", *found], zip([f"{name}.png" for name in names], *found.values(), strict=True))


def archive(made: Examples, spec: DataSpec) -> bytes:
    """The bytes of a NumPy archive that the source `array` reads: `images` (n, H, W[, C]) or `x` (n, D), and `latents`.

    Levels are rounded to whole numbers. What the examples were conditioned on stands beside them: classes by name, or by
    number where that is their name.
    """
    import io

    import numpy as np

    x = whole(made.x, spec)
    x = x if spec.levels is None else x.byte()
    is_map = len(spec.shape) == 3
    values = (x.squeeze(1) if spec.shape[0] == 1 else x.movedim(1, -1)) if is_map else x
    stream = io.BytesIO()
    arrays: dict[str, Any] = {"images" if is_map else "x": values.numpy(), "latents": made.latents.numpy()}
    for name, given in made.context.items():
        classes = spec.context[name].classes
        named = bool(classes) and classes != tuple(str(number) for number in range(len(classes)))
        key = "labels" if name == "label" else name
        texts = np.array([*classes, ""])  # −1, unknown, is the last
        arrays[key] = texts[given.numpy()] if named else given.numpy()
    np.savez(stream, **arrays)
    return stream.getvalue()
