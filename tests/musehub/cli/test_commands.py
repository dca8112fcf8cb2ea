"""The `musehub` command, except for serving."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import muse
from musehub.cli.main import main

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


def test_a_password_can_be_given_on_stdin(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert run_json(run, "user", "add", "ada", "--password-stdin")["password"] is None
    code, _, err = run("user", "passwd", "ada", "--password-stdin")
    assert (code, err) == (2, "error: there is no password on stdin\n")


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
    ],
)
def test_errors_go_to_stderr_with_a_code(run: Run, arguments: list[str], code: int, error_code: str) -> None:
    got, out, err = run(*arguments, "--json")
    assert (got, out) == (code, "")
    assert json.loads(err)["error"]["code"] == error_code
    got, out, err = run(*arguments)
    assert (got, out) == (code, "")
    assert err.startswith("error: ")


def test_a_database_that_cannot_be_opened(run: Run, tmp_path: Path) -> None:
    (tmp_path / "data").write_text("not a folder")
    code, _, err = run("user", "list")
    assert code == 9
    assert err.startswith("error: cannot create the folder")


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
