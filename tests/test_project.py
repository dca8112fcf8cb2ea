"""The lock, the project file and the harness itself."""

from __future__ import annotations

import os
import re
import socket
import tomllib
from pathlib import Path

import pytest

import muse


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_lock_pins_every_dependency_with_hashes_and_names_no_place(repository_root: Path) -> None:
    project = tomllib.loads((repository_root / "pyproject.toml").read_text())["project"]
    lock = (repository_root / "requirements.lock").read_text()
    entries = {
        _canonical(entry.partition("==")[0]): entry.count("--hash=sha256:")
        for entry in re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.MULTILINE)
        if entry.strip()
    }
    wanted = {
        _canonical(re.match(r"[A-Za-z0-9._-]+", text)[0])  # type: ignore[index]
        for text in project["dependencies"] + project["optional-dependencies"]["dev"]
    }
    assert wanted <= set(entries)
    assert [name for name, hashes in entries.items() if hashes == 0] == []
    assert "/" not in lock


def test_the_package_carries_the_version_of_the_project(repository_root: Path) -> None:
    project = tomllib.loads((repository_root / "pyproject.toml").read_text())["project"]
    assert muse.__version__ == project["version"]


def test_a_test_reaches_nothing_but_loopback() -> None:
    with socket.socket() as other, pytest.raises(AssertionError, match="only loopback"):
        other.connect(("192.0.2.1", 9))
    with pytest.raises(AssertionError, match="only loopback"):
        socket.create_connection(("hub.invalid", 80))
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()


def test_a_test_sees_nothing_of_the_users_home() -> None:
    assert list(Path.home().iterdir()) == []
    assert not [name for name in os.environ if name.startswith(("MUSEHUB_", "XDG_CONFIG", "GIT_AUTHOR"))]
