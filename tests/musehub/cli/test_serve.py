"""`musehub serve` as a process: start, announcement, signals, restart."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.musehub.postgresql import PostgreSQL


@contextmanager
def hub(data: Path, *arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A hub in a process of its own, and its address."""
    command = [sys.executable, "-m", "musehub.cli.main", "serve", "--data", str(data), *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        first = process.stdout.readline()
        match = re.fullmatch(r"musehub: listening on (http://\S+)\n", first)
        assert match, (first, process.stderr and process.stderr.read())
        yield process, match[1]
    finally:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def run_command(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "musehub.cli.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def get(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=20) as answer:
        return json.load(answer)


def stop(process: subprocess.Popen[str], number: signal.Signals) -> tuple[int, str, str]:
    process.send_signal(number)
    code = process.wait(timeout=20)
    assert process.stdout is not None
    assert process.stderr is not None
    return code, process.stdout.read(), process.stderr.read()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_start_and_an_orderly_end(tmp_path: Path, number: signal.Signals) -> None:
    with hub(tmp_path, "--port", "0") as (process, url):
        assert get(f"{url}/health")["status"] == "ok"
        assert get(f"{url}/ready")["status"] == "ready"
        code, out, err = stop(process, number)
    assert (code, err) == (0, "")
    assert re.search(r'created the administrator "admin" with the password (\S{20})\n', out)
    assert f"muse auth login {url} --user admin" in out
    assert f"`musehub user passwd admin --data {tmp_path}" in out


def test_killed_and_started_again_it_keeps_its_users_and_is_quiet_about_passwords(tmp_path: Path) -> None:
    with hub(tmp_path, "--port", "0") as (process, url):
        process.kill()
        process.wait()
    with hub(tmp_path, "--port", url.rpartition(":")[2]) as (process, again):
        assert again == url
        assert get(f"{url}/ready")["status"] == "ready"
        code, out, _ = stop(process, signal.SIGTERM)
    assert code == 0
    assert "password" not in out


def test_a_taken_port_is_a_clear_error(tmp_path: Path) -> None:
    with hub(tmp_path, "--port", "0") as (_, url):
        port = url.rpartition(":")[2]
        second = run_command("serve", "--json", "--data", str(tmp_path / "b"), "--port", port)
    assert second.returncode == 9
    assert second.stdout == ""
    assert json.loads(second.stderr)["error"]["code"] == "address-in-use"


@pytest.fixture
def postgresql_url(postgresql: PostgreSQL) -> Iterator[str]:
    name = asyncio.run(postgresql.create_database())
    yield postgresql.url(name)
    asyncio.run(postgresql.drop_database(name))


def test_on_an_external_database_migrating_is_a_command(tmp_path: Path, postgresql_url: str) -> None:
    place = ["--data", str(tmp_path), "--database-url", postgresql_url]
    refused = run_command("serve", "--port", "0", *place)
    assert refused.returncode == 2
    assert "musehub migrate" in refused.stderr
    assert run_command("migrate", *place).returncode == 0
    with hub(tmp_path, "--port", "0", "--database-url", postgresql_url) as (process, url):
        assert get(f"{url}/ready")["status"] == "ready"
        assert stop(process, signal.SIGTERM)[0] == 0
