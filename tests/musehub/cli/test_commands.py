"""The `musehub` command, except for serving."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import muse
from musehub.cli.main import build_parser, main

PROGRAM = Path(sys.executable).with_name("musehub")

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on a data folder of this test's own: exit code, stdout, stderr."""

    def run_command(*arguments: str) -> tuple[int, str, str]:
        code = main([*arguments, "--data", str(tmp_path / "data")])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run_command


def run_json(run: Run, *arguments: str) -> Any:
    code, out, err = run(*arguments, "--json")
    assert (code, err) == (0, "")
    return json.loads(out)


def test_users(run: Run) -> None:
    assert run("user", "add", "ada", "--no-password", "--admin")[:2] == (0, 'added "ada"\n')
    made = run_json(run, "user", "add", "bot", "--agent", "--display-name", "Bot")
    assert (made["user"]["kind"], made["user"]["display_name"]) == ("agent", "Bot")
    assert len(made["password"]) >= 20
    assert run("user", "disable", "bot")[0] == 0
    assert run("user", "list")[1].splitlines() == [
        f"{'ada':<24} human, admin",
        f"{'bot':<24} agent, disabled",
    ]
    assert run("user", "enable", "bot")[0] == 0
    assert run_json(run, "user", "list")["users"][1]["disabled_at"] is None
    assert run_json(run, "user", "passwd", "bot")["password"] != made["password"]


def test_who_makes_a_new_hub_by_the_way_is_told(run: Run, tmp_path: Path) -> None:
    first, second = (run("user", "add", name, "--no-password")[2] for name in ("ada", "bob"))
    assert first == (
        f"note: there was no hub in {tmp_path / 'data'} until now; --data names another folder\n"
    )
    assert second == ""


def test_a_password_can_be_given_on_stdin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert run_json(run, "user", "add", "ada", "--password-stdin")["password"] is None
    code, _, err = run("user", "passwd", "ada", "--password-stdin")
    assert (code, err) == (2, "error[bad-arguments]: there is no password on stdin\n")


def test_a_password_typed_on_a_terminal_is_asked_for_twice_and_not_shown(tmp_path: Path) -> None:
    def type_in(*lines: str) -> str:
        command = [PROGRAM, "user", "add", "ada", "--password-stdin", "--data", str(tmp_path / "data")]
        leader, follower = pty.openpty()
        with subprocess.Popen(
            command, stdin=follower, stdout=follower, stderr=follower, start_new_session=True
        ):
            os.close(follower)
            shown = b""
            with contextlib.suppress(OSError), open(leader, "r+b", buffering=0) as terminal:
                while piece := terminal.read(1000):
                    shown += piece
                    if lines and shown.endswith(b": "):
                        terminal.write(f"{lines[0]}\n".encode())
                        lines = lines[1:]
        return shown.decode()

    assert "error[bad-arguments]: the two passwords differ" in type_in("correct horse", "correct house")
    shown = type_in("correct horse", "correct horse")
    assert "password for ada: " in shown
    assert "horse" not in shown
    assert 'added "ada"' in shown


def test_tokens(run: Run) -> None:
    run("user", "add", "ada", "--no-password")
    secret = run("token", "create", "ada", "--label", "ci", "--scope", "read", "--days", "3")[1].strip()
    assert secret.startswith("mht_")
    (token,) = run_json(run, "token", "list", "ada")["tokens"]
    assert (token["label"], token["scope"], token["secret"]) == ("ci", "read", None)
    assert run("token", "revoke", "ada", str(token["id"]))[0] == 0
    assert run_json(run, "token", "list", "ada")["tokens"] == []
    assert run("token", "revoke", "ada", str(token["id"]))[0] == 3


def test_migrate(run: Run) -> None:
    first = run_json(run, "migrate")
    assert first["before"] is None
    assert run_json(run, "migrate") == {"before": first["after"], "after": first["after"]}
    assert "up to date" in run("migrate")[1]


def test_version(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"musehub {muse.__version__}\n"
    assert run_json(run, "version") == {"version": muse.__version__}


@pytest.mark.parametrize(
    ("arguments", "code", "error_code"),
    [
        (["user", "add", "Not A Name"], 2, "bad-name"),
        (["user", "disable", "nobody"], 3, "user-not-found"),
        (["token", "create", "nobody"], 3, "user-not-found"),
        (["serve", "--port", "many"], 2, "bad-setting"),
        (["serve", "--set", "no_such=1"], 2, "bad-setting"),
        (["serve", "--set", "nothing"], 2, "bad-setting"),
        (["serve", "--database-url", "oracle://x"], 2, "bad-setting"),
        (["user", "add"], 2, "bad-arguments"),
        (["user", "frobnicate"], 2, "bad-arguments"),
        (["frobnicate"], 2, "bad-arguments"),
        (["jobs", "list", "--limit", "-1"], 2, "bad-arguments"),
        (["backup", "there", "--keep", "-1"], 2, "bad-arguments"),
    ],
)
def test_errors_go_to_stderr_with_a_code(run: Run, arguments: list[str], code: int, error_code: str) -> None:
    got, out, err = run(*arguments, "--json")
    assert (got, out) == (code, "")
    assert json.loads(err)["error"]["code"] == error_code
    got, out, err = run(*arguments)
    assert (got, out) == (code, "")
    assert err.startswith(f"error[{error_code}]: ")


def test_a_database_that_cannot_be_opened(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    code, _, err = run("user", "list")
    assert code == 9
    assert err.startswith("error[read-only]: cannot create the folder")


def test_a_database_that_does_not_answer_is_told_with_its_reason(run: Run) -> None:
    code, _, err = run("user", "list", "--database", "postgresql://ada:secret@127.0.0.1:9/hub")
    assert code == 7
    assert err.startswith("error[database-unavailable]: ")
    assert "\ncause: " in err
    assert "127.0.0.1" in err
    assert "hint: is the database running, and is `database_url` right?" in err
    assert "secret" not in err
    code, _, err = run("user", "list", "--database", "postgresql://ada:secret@127.0.0.1:9/hub", "--json")
    assert "127.0.0.1" in json.loads(err)["error"]["details"]["cause"]


def test_a_database_that_is_none(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "musehub.sqlite").write_bytes(b"this is not a database" * 100)
    code, _, err = run("user", "list", "--json")
    assert code == 5
    assert json.loads(err)["error"]["code"] == "corrupt-database"


@pytest.mark.parametrize("command", ["serve", "migrate", "user", "token", "version"])
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == 0
    assert f"musehub {command}" in capsys.readouterr().out


def test_help_of_every_action_says_what_it_does_with_an_example_to_copy() -> None:
    def check(parser: argparse.ArgumentParser) -> None:
        text = parser.format_help()
        assert parser.description, parser.prog
        assert f"example: {parser.prog}" in text or f"examples:\n  {parser.prog}" in text, parser.prog
        assert parser.epilog in text
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for child in action.choices.values():
                    check(child)

    (commands,) = (a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction))
    for parser in commands.choices.values():
        check(parser)


def test_nothing_at_all_prints_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "serve" in capsys.readouterr().err


def test_a_command_about_accounts_imports_no_server(run: Run, tmp_path: Path) -> None:
    """They take half a second of processor time, which scripts that manage users would pay each time."""
    assert run("user", "add", "ada")[0] == 0
    code = (
        "import sys; from musehub.cli.main import main\n"
        f"assert main(['user', 'list', '--data', {str(tmp_path / 'data')!r}]) == 0\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}), file=sys.stderr)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"alembic", "botocore", "granian", "jinja2", "litestar", "mako", "obstore", "pygments"}
    assert not heavy & set(found.stderr.split())
