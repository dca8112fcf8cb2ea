"""The frame: help, global options, errors and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from muse import __version__
from muse.cli import exits
from muse.cli.catalog import COMMANDS, GROUPS, module_name
from muse.cli.run import as_muse_error
from muse.errors import CATEGORIES

if TYPE_CHECKING:
    from .conftest import Muse

PROGRAM = Path(sys.executable).with_name("muse")


def test_every_command_has_a_line_an_example_and_a_json_shape() -> None:
    for name in COMMANDS:
        module = import_module(module_name(name))
        assert f"muse {name}" in module.EXAMPLE
        assert module.JSON.strip()


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_of_every_command_ends_with_an_example(nowhere: Muse, name: str) -> None:
    text = nowhere(name, "--help").output
    assert text.startswith(f"usage: muse {name}")
    assert COMMANDS[name] in text
    assert f"  muse {name}" in text[text.index("example:") :]
    assert nowhere("help", name).output == text


def test_help_lists_every_command_once(nowhere: Muse) -> None:
    text = nowhere("--help").output
    for group in GROUPS.values():
        for name, line in group.items():
            assert f"  {name:<14}{line}\n" in text


def test_without_a_command_help_goes_to_stderr(nowhere: Muse) -> None:
    result = nowhere(code=2)
    assert result.output == ""
    assert "usage: muse" in result.errors


def test_version_in_three_ways(nowhere: Muse) -> None:
    assert nowhere("--version").output == f"muse {__version__}\n"
    assert nowhere("version").output == f"muse {__version__}\n"
    assert nowhere("version", "--json").json["version"] == __version__


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("stats", "did you mean muse status"),
        ("comit", "did you mean muse commit"),
        ("checkout", "muse switch BRANCH changes the branch"),
        ("qqqq", "muse --help lists the commands"),
    ],
)
def test_an_unknown_command_gets_a_suggestion(nowhere: Muse, typed: str, hint: str) -> None:
    result = nowhere(typed, code=2)
    first, second = result.errors.splitlines()
    assert first == f'error[bad-arguments]: there is no command "{typed}"'
    assert second.startswith(f"hint: {hint}")


@pytest.mark.parametrize(
    "arguments",
    [
        ["--nonsense"],
        ["log", "--nonsense"],
        ["log", "-n", "many"],
        ["--color", "pink", "log"],
        ["log", "--color", "pink"],
        ["config"],
        ["config", "frobnicate"],
        ["config", "get"],
        ["-C"],
    ],
)
def test_a_wrong_command_line_is_one_kind_of_error(nowhere: Muse, arguments: list[str]) -> None:
    result = nowhere(*arguments, code=2)
    assert result.output == ""
    assert result.errors.startswith("error[bad-arguments]: ")
    assert "\nhint: " in result.errors or "--color" in arguments


def test_global_options_work_before_and_after_the_command(nowhere: Muse) -> None:
    before = nowhere("--json", "config", "list", "--global")
    after = nowhere("config", "list", "--global", "--json")
    between = nowhere("config", "--json", "list", "--global")
    assert before.json == after.json == between.json == {"settings": []}


def test_folders_of_several_c_options_add_up(muse: Muse) -> None:
    (muse.folder / "a" / "b").mkdir(parents=True)
    assert muse("-C", "a", "-C", "b", "config", "list").output == ""
    assert "not a folder" in muse("-C", "a", "-C", "c", "config", "list", code=3).errors


def test_an_error_in_json_is_one_line_on_stderr(nowhere: Muse) -> None:
    result = nowhere("status", "--json", code=3)
    assert result.output == ""
    error = json.loads(result.errors)["error"]
    assert error["code"] == "not-a-repository"
    assert set(error) == {"code", "message", "hint", "retry", "details"}


def test_a_path_called_json_after_the_separator_is_no_option(nowhere: Muse) -> None:
    assert nowhere("status", "--", "--json", code=3).errors.startswith("error[not-a-repository]: ")


def test_every_error_class_has_its_exit_code_in_the_table() -> None:
    assert {category.exit_code for category in CATEGORIES} < set(exits.MEANINGS)
    codes = [category.exit_code for category in CATEGORIES]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize(
    ("error", "code", "exit_code"),
    [
        (OSError(28, "No space left on device"), "disk-full", 9),
        (PermissionError(13, "Permission denied", "x"), "read-only", 9),
        (OSError(5, "Input/output error"), "io-error", 9),
        (ZeroDivisionError("oh"), "internal", 70),
    ],
)
def test_every_exception_becomes_an_error_with_a_code(error: Exception, code: str, exit_code: int) -> None:
    known = as_muse_error(error)
    assert (known.code, known.exit_code) == (code, exit_code)


def test_a_traceback_is_shown_only_on_request(nowhere: Muse) -> None:
    assert "Traceback" not in nowhere("status", code=3).errors
    nowhere.environment["MUSE_TRACEBACK"] = "1"
    assert "Traceback" in nowhere("status", code=3).errors


def test_names_cannot_steer_the_terminal(nowhere: Muse) -> None:
    assert "\x1b" not in nowhere("\x1b[31mred", code=2).errors


def test_colours_on_request_only(nowhere: Muse) -> None:
    assert "\x1b[1;31merror" in nowhere("--color", "always", "qqqq", code=2).errors
    assert "\x1b[" not in nowhere("qqqq", code=2).errors


def _modules(arguments: list[str], folder: Path) -> set[str]:
    """Return what a command imports, top-level names and our own rooms."""
    script = (
        "import sys; before = set(sys.modules)\n"
        "from muse.cli.main import main\n"
        f"main({arguments!r})\n"
        "print('\\n' + ' '.join(sorted(set(sys.modules) - before)), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True
    )
    return set(result.stderr.splitlines()[-1].split())


def test_version_imports_next_to_nothing(tmp_path: Path) -> None:
    assert _modules(["--version"], tmp_path) == {"__future__", "muse", "muse.cli", "muse.cli.main"}


def test_help_imports_no_command(tmp_path: Path) -> None:
    loaded = _modules(["--help"], tmp_path)
    assert not [name for name in loaded if name.startswith("muse.cli.commands.")]
    assert not loaded & {"sqlite3", "pathlib", "json", "subprocess"}


def test_a_closed_pipe_is_quiet(muse: Muse) -> None:
    with subprocess.Popen(
        [PROGRAM, "--help"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=muse.folder
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait() == exits.CLOSED_PIPE
