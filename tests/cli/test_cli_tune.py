"""`vaekit tune`: what is said and written, and wrong input."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import invoke, refused, said, settings

from vaekit.recipes import resolve


def search(images: Path, out: Path, *more: str) -> list[str | Path]:
    """The arguments of a quick search."""
    tiny = settings("train.epochs=2")
    return ["tune", "array", "--data", str(images), "--out", str(out), *tiny, *more]


def test_a_search_ends_with_a_recipe_a_page_and_the_next_commands(images: Path, tmp_path: Path) -> None:
    made = invoke(*search(images, tmp_path / "s", "--trials", "3"))
    assert made.exit_code == 0, (said(made), made.exception)
    assert "the recipe as it is" in said(made) and "best elbo_nats" in said(made)
    assert f"vaekit train {tmp_path / 's' / 'best.yaml'}" in said(made)
    assert (tmp_path / "s" / "tuning.html").is_file()
    assert resolve(tmp_path / "s" / "best.yaml").data.params["path"] == str(images)
    again = invoke(*search(images, tmp_path / "s", "--trials", "4", "--json", "-"))
    assert again.exit_code == 0 and len(json.loads(again.stdout)["trials"]) == 4


def test_mistakes_are_named(images: Path, tmp_path: Path) -> None:
    refused(invoke(*search(images, tmp_path / "s")), "--trials 50", "--time 20m")
    refused(invoke(*search(images, tmp_path / "s", "--trials", "2", "--metric", "elbow")), "elbow", "elbo_nats")
    refused(invoke(*search(images, tmp_path / "s", "--time", "soon")), "--time")
    refused(invoke("tune", "digit", "--trials", "2", "--out", tmp_path / "s"), "digits")
    (tmp_path / "space.yaml").write_text("train.lrr: {float: [1, 2]}\n")
    refused(
        invoke(*search(images, tmp_path / "t", "--trials", "2", "--space", str(tmp_path / "space.yaml"))), "train.lr"
    )
