"""The frame: help, global options, errors and exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from muse import __version__
from muse.cli import exits
from muse.cli.catalog import COMMANDS, GROUPS, module_name
from muse.cli.run import as_muse_error
from muse.errors import CATEGORIES

from .conftest import Muse, modules_of, rooms_of

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


def test_help_marks_what_may_be_left_out(nowhere: Muse) -> None:
    assert nowhere("push", "--help").lines[0] == "usage: muse push [OPTIONS] [REMOTE] [REFSPEC ...]"
    assert nowhere("restore", "--help").lines[0] == "usage: muse restore [OPTIONS] PATH [PATH ...]"


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


def test_version_imports_next_to_nothing(tmp_path: Path) -> None:
    assert modules_of(["--version"], tmp_path) == {"__future__", "muse"}
    assert rooms_of(["--version"], tmp_path) == {"cli", "cli.main"}


def test_help_imports_no_command(tmp_path: Path) -> None:
    assert not [name for name in rooms_of(["--help"], tmp_path) if name.startswith("cli.commands")]
    assert not modules_of(["--help"], tmp_path) & {"sqlite3", "pathlib", "json", "subprocess"}


def test_status_imports_only_what_it_needs(muse: Muse) -> None:
    os.utime(muse.write("a.txt", "1"), (1e9, 1e9))  # old enough for its stats to be trusted
    muse("commit", "-m", "one")
    loaded = modules_of(["status"], muse.folder)
    assert loaded <= _STATUS_MODULES, loaded - _STATUS_MODULES
    rooms = {name.partition(".")[0] for name in rooms_of(["status"], muse.folder)}
    assert not rooms & {"remote", "git"}


_STATUS_MODULES = {
    *("__future__", "argparse", "backports", "bisect", "collections", "contextlib", "copyreg", "datetime"),
    *(
        "enum",
        "errno",
        "fcntl",
        "fnmatch",
        "functools",
        "gettext",
        "hashlib",
        "heapq",
        "importlib",
        "ipaddress",
    ),
    *("itertools", "keyword", "locale", "math", "muse", "ntpath", "operator", "pathlib", "re", "reprlib"),
    *("sqlite3", "struct", "threading", "types", "typing", "unicodedata", "urllib", "warnings"),
}


def test_a_closed_pipe_is_quiet(muse: Muse) -> None:
    muse.commit("one", a_txt="line\n" * 100_000)
    for arguments in (["--version"], ["--help"], ["show"], ["show", "HEAD:a.txt"], ["show", "--json"]):
        with subprocess.Popen(
            [PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=muse.folder
        ) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            process.stdout.close()
            assert process.stderr.read() == b""
            assert process.wait() == exits.CLOSED_PIPE


def test_an_interrupt_is_quiet(muse: Muse, tmp_path: Path) -> None:
    muse.write("a.txt", "1")
    message = tmp_path / "message"
    os.mkfifo(message)
    with subprocess.Popen(
        [PROGRAM, "commit", "-F", message],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=muse.folder,
        env=muse.environment,
    ) as process:
        with message.open("wb"):  # returns when the command reads it
            process.send_signal(signal.SIGINT)
            assert process.communicate() == (b"", b"")
        assert process.returncode == exits.INTERRUPTED
    assert "no commits yet" in muse("log").output
    assert muse("fsck", "--json").json["ok"] is True


def test_a_terminal_gets_colours_and_a_pager(muse: Muse, tmp_path: Path) -> None:
    muse.commit("one", a_txt="1")
    pager = tmp_path / "pager"
    pager.write_text("#!/bin/sh\nsed 's/^/paged: /'\n")
    pager.chmod(0o755)
    environment = {**muse.environment, "TERM": "xterm", "MUSE_PAGER": str(pager)}
    text = _on_a_terminal(["log", "--oneline"], muse.folder, environment)
    assert text.startswith("paged: \x1b[33m")
    assert "\x1b" not in _on_a_terminal(["log", "--oneline"], muse.folder, {**environment, "NO_COLOR": "1"})
    assert "paged" not in _on_a_terminal(["log", "--json"], muse.folder, environment)
    assert "paged" not in _on_a_terminal(["status"], muse.folder, environment)


def test_a_password_typed_on_a_terminal_is_asked_for_and_not_shown(nowhere: Muse) -> None:
    arguments = ["auth", "login", "http://127.0.0.1:9", "--user", "ada", "--password-stdin"]
    text = _on_a_terminal(arguments, nowhere.folder, nowhere.environment, typed="correct horse\n", code=7)
    assert text.startswith("password: ")
    assert "remote-unreachable" in text
    assert "horse" not in text


def _on_a_terminal(
    arguments: list[str], folder: Path, environment: dict[str, str], typed: str = "", code: int = 0
) -> str:
    ours, theirs = os.openpty()
    with subprocess.Popen(
        [PROGRAM, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=folder,
        env=environment,
        start_new_session=True,  # or the password would be asked for on the terminal of whoever tests
    ) as process:
        os.close(theirs)
        data = b""
        while True:
            try:
                piece = os.read(ours, 4096)
            except OSError:  # how a terminal says that the other side is gone
                break
            if not piece:
                break
            data += piece
            if typed and data.endswith(b": "):
                os.write(ours, typed.encode())
                typed = ""
        os.close(ours)
        assert process.wait() == code
    return data.decode()


def test_output_that_cannot_be_written_is_an_error_and_no_output_is_none(muse: Muse) -> None:
    muse.commit("one", a_txt="1")
    with open("/dev/full", "wb") as full:
        result = subprocess.run(
            [PROGRAM, "log"], cwd=muse.folder, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert result.returncode == 9
    assert result.stderr.splitlines()[0] == "error[disk-full]: no space left on device"
    closed = subprocess.run(
        ["sh", "-c", f'"{PROGRAM}" log >&-'], cwd=muse.folder, capture_output=True, text=True, check=False
    )
    assert (closed.returncode, closed.stderr) == (0, "")


def test_an_unknown_subcommand_gets_a_suggestion(nowhere: Muse) -> None:
    assert "hint: did you mean muse config get" in nowhere("config", "gte", code=2).errors
    assert "hint: there is muse git import, muse git export" in nowhere("git", "zzz", code=2).errors
    assert "error[bad-arguments]: say what to do: import, export" in nowhere("git", code=2).errors


def test_quiet_keeps_answers_and_drops_remarks(muse: Muse) -> None:
    muse.write("a.txt", "1")
    assert muse("-q", "commit", "-m", "one").output == ""
    assert muse("log", "-q", "--oneline").output.endswith("(*main) one\n")
