"""The command as a test uses it: in this process, with a clock that moves by one minute per command."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.hub_process import HubProcess

from muse.cli.main import main

START_S = 1_700_000_000


class Result(NamedTuple):
    code: int
    output: str
    errors: str
    raw: bytes

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()

    @property
    def json(self) -> Any:
        return json.loads(self.output)


class Muse:
    """Runs commands in one folder; every call states the exit code that it expects."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "MUSE_AUTHOR_NAME": "Ada",
            "MUSE_AUTHOR_EMAIL": "ada@example.org",
            "MUSE_COMMITTER_NAME": "Ada",
            "MUSE_COMMITTER_EMAIL": "ada@example.org",
        }
        self.now_s = START_S

    def at(self, folder: Path) -> Muse:
        """Return the same user in another folder."""
        other = Muse(folder)
        other.environment, other.now_s = self.environment, self.now_s
        return other

    def __call__(self, *arguments: str, code: int = 0, stdin: bytes = b"") -> Result:
        self.now_s += 60
        out, errors = io.BytesIO(), io.StringIO()
        stream = io.TextIOWrapper(out, encoding="utf-8")
        before = sys.stdin
        sys.stdin = io.TextIOWrapper(io.BytesIO(stdin))
        try:
            with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(errors):
                found = main(
                    ["-C", str(self.folder), *arguments], environment=self.environment, now=lambda: self.now_s
                )
                stream.flush()
        finally:
            sys.stdin = before
        raw = out.getvalue()
        result = Result(found, raw.decode("utf-8", "replace"), errors.getvalue(), raw)
        assert found == code, f"{arguments}: {result}"
        return result

    def write(self, path: str, content: str | bytes) -> Path:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    def commit(self, message: str, **files: str) -> str:
        """Write files (`a_txt="..."` is `a.txt`), commit everything, and return the id."""
        for name, content in files.items():
            self.write(name.replace("_", "."), content)
        return str(self("commit", "-m", message, "--json").json["id"])


@pytest.fixture(scope="module")
def hub_process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    hub = HubProcess(tmp_path_factory.mktemp("hub"))
    yield hub
    hub.stop()


@pytest.fixture
def muse(tmp_path: Path) -> Muse:
    """A user in an empty repository."""
    user = Muse(tmp_path / "songs")
    user.folder.mkdir()
    user("init")
    return user


@pytest.fixture
def nowhere(tmp_path: Path) -> Muse:
    """A user in an empty folder that is no repository."""
    user = Muse(tmp_path / "empty")
    user.folder.mkdir()
    return user


def _loaded(arguments: list[str], folder: Path, environment: dict[str, str] | None) -> set[str]:
    script = (
        "import sys; before = set(sys.modules)\n"
        "from muse.cli.main import main\n"
        f"main({arguments!r})\n"
        "print(' '.join(set(sys.modules) - before), file=sys.stderr)"
    )
    result = subprocess.run(
        [sys.executable, "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(result.stderr.splitlines()[-1].split())


def modules_of(arguments: list[str], folder: Path, environment: dict[str, str] | None = None) -> set[str]:
    """Return the top-level modules that a command imports, without the private ones of Python itself."""
    names = {name.partition(".")[0] for name in _loaded(arguments, folder, environment)}
    return {name for name in names if not name.startswith("_") or name == "__future__"} - {"encodings"}


def rooms_of(arguments: list[str], folder: Path, environment: dict[str, str] | None = None) -> set[str]:
    """Return the modules of muse that a command imports, without their common `muse.`."""
    loaded = _loaded(arguments, folder, environment)
    return {name.removeprefix("muse.") for name in loaded if name.startswith("muse.")}
