"""What there is, as `vaekit list` says it."""

from __future__ import annotations

import doctest
from typing import Annotated, Literal

import pytest
from annotated_types import Ge, Gt, Lt
from command_line import invoke, refused, said

from vaekit import recipes
from vaekit.cli import catalogue, screen, summary
from vaekit.config import FAMILIES, find_class, members


@pytest.mark.parametrize("module", [catalogue, screen, summary])
def test_doctests(module: object) -> None:
    assert doctest.testmod(module).failed == 0  # type: ignore[arg-type]


def test_everything_is_listed_with_a_line() -> None:
    shown = said(invoke("list"))
    for name in recipes.recipe_names():
        assert catalogue.recipe_line(recipes.RECIPES / f"{name}.yaml") in shown
    for family in FAMILIES:
        for name, module in members(family).items():
            line = catalogue.member_line(family, name, module)
            assert line and line in shown


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_is_listed(family: str) -> None:
    shown = said(invoke("list", family))
    for name in members(family):
        for parameter in catalogue.parameters(find_class(family, name)):
            assert parameter.name in shown
            assert parameter.values and parameter.default


@pytest.mark.parametrize("family", FAMILIES)
def test_every_parameter_has_a_meaning(family: str) -> None:
    if family == "objectives":
        pytest.skip("fields of an objective are explained in its prose")
    for name in members(family):
        for parameter in catalogue.parameters(find_class(family, name)):
            assert parameter.meaning, (name, parameter.name)


def test_recipes_say_what_they_are() -> None:
    shown = said(invoke("list", "recipes"))
    assert all(name in shown for name in recipes.recipe_names())


def test_plan_and_optimizers() -> None:
    assert "batch_size" in said(invoke("list", "train"))
    assert "AdamW" in said(invoke("list", "optimizers"))


def test_singular_is_understood() -> None:
    assert said(invoke("list", "net")) == said(invoke("list", "nets"))


def test_unknown_family() -> None:
    refused(invoke("list", "likelyhoods"), "did you mean 'likelihoods'")


@pytest.mark.parametrize(
    ("hint", "words"),
    [
        (Annotated[int, Ge(1)] | None, "whole number ≥ 1, or null"),
        (Annotated[float, Ge(0), Lt(1)], "number ≥ 0, < 1"),
        (Literal["a", "b"], "a | b"),
        (tuple[Annotated[int, Gt(0)], ...], "list of whole numbers > 0"),
        (bool, "true | false"),
        (dict[str, int], "dict"),
    ],
)
def test_types_in_words(hint: object, words: str) -> None:
    assert catalogue.in_words(hint) == words
