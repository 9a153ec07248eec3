"""Help, version, lists: quick, without torch, and with an example everywhere."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from command_line import invoke, said

from vaekit.cli.application import COMMANDS, app

NAMES = [
    "train", "init", "evaluate", "generate", "reconstruct", "interpolate", "traverse", "edit", "embed", "decode", "report",
    "compare", "doctor", "list", "show", "cite", "detect", "calibrate", "tune",
]  # fmt: skip


def names() -> list[str]:
    return [command.name or command.function.__name__ for command in COMMANDS]


def test_every_command_is_there() -> None:
    assert sorted(names()) == sorted(NAMES)
    shown = said(invoke("--help"))
    assert all(name in shown for name in NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_help_has_an_example(name: str) -> None:
    result = invoke(name, "--help")
    assert result.exit_code == 0
    assert re.search(rf"Examples?\s+vaekit {name} ", said(result) + " ")


@pytest.mark.parametrize("name", NAMES)
def test_examples_of_the_help_are_commands_that_parse(name: str) -> None:
    """Every option in an example is one that the command has."""
    command = next(command for command in COMMANDS if (command.name or command.function.__name__) == name)
    shown = said(invoke(name, "--help"))
    for example in command.examples:
        if example.startswith(f"vaekit {name} "):
            for option in re.findall(r"(?<!\S)(--?[a-z][\w-]*)", example):
                assert option in shown, (example, option)


def test_first_lines_of_commands_fit_a_narrow_terminal() -> None:
    for command in COMMANDS:
        first = (command.function.__doc__ or "").partition("\n")[0]
        assert 0 < len(first) <= 63, first


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["--version"], ["list"], ["init", "digits", "-o", "-"]]
)
def test_loads_no_heavy_package(arguments: list[str]) -> None:
    code = (
        "import sys\n"
        "from vaekit.cli import main\n"
        "try:\n"
        f"    main({arguments!r})\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "heavy = {'torch', 'numpy', 'matplotlib', 'pandas', 'sklearn', 'PIL', 'pydantic'} & set(sys.modules)\n"
        "print('LOADED', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = done.stdout.splitlines()[-1]
    assert "torch" not in loaded and "matplotlib" not in loaded, loaded
    if arguments == ["--help"]:
        assert loaded == "LOADED []"


def test_version() -> None:
    import vaekit

    assert said(invoke("--version")) == f"vaekit {vaekit.__version__}"


def test_module_is_the_command_line() -> None:
    done = subprocess.run([sys.executable, "-m", "vaekit", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("vaekit ")


def test_near_command_names() -> None:
    result = invoke("trian", "digits")
    assert result.exit_code == 2 and "train" in said(result)


def test_near_option_names() -> None:
    result = invoke("train", "digits", "--tme", "10s")
    assert result.exit_code == 2 and "--time" in said(result)


def test_nothing_asked_shows_help() -> None:
    result = invoke()
    assert "train" in said(result) and "Traceback" not in said(result)


def test_application_has_no_stray_commands() -> None:
    assert len(app.registered_commands) == len(COMMANDS)
