"""A client whose clock is an hour off in everything that it does, beside one whose clock is right."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from tests.faults.stage import EMBEDDED, SERVERS, OpenStage
from tests.faults.struck import CLOCK_OFF_S, MUSE

_CLOCK = """
import time
right, right_ns = time.time, time.time_ns
time.time = lambda: right() + {0}
time.time_ns = lambda: right_ns() + {0} * 10**9
"""
"""Python runs this before any program, from a folder of its path."""

Muse = Callable[..., Any]


@pytest.fixture
def open_client(tmp_path: Path) -> Callable[[str, float, str], Muse]:
    def open_one(name: str, offset_s: float, token: str) -> Muse:
        home = tmp_path / name
        home.mkdir()
        (home / "sitecustomize.py").write_text(_CLOCK.format(int(offset_s)))
        path = os.pathsep.join(filter(None, [str(home), os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "HOME": str(home), "MUSE_TOKEN": token, "PYTHONPATH": path}

        def muse(*arguments: str) -> Any:
            command = [MUSE, "-C", str(home), *arguments, "--json"]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)

        return muse

    return open_one


@pytest.mark.parametrize(("kind", "offset_s"), [(SERVERS, CLOCK_OFF_S), (EMBEDDED, -CLOCK_OFF_S)])
def test_nothing_depends_on_the_clock_of_a_client(
    open_stage: OpenStage, open_client: Callable[..., Muse], tmp_path: Path, kind: str, offset_s: float
) -> None:
    stage = open_stage(kind)
    stage.heal()
    stage.reset()
    url = f"{stage.address}/{stage.hub.user}/clock-{tmp_path.name[-40:]}"
    off = open_client("off", offset_s, stage.hub.token)
    right = open_client("right", 0, stage.hub.token)
    here, there = tmp_path / "off" / "work", tmp_path / "right" / "work"

    def head(muse: Muse, folder: Path) -> str:
        return str(muse("-C", str(folder), "rev-parse", "HEAD")["objects"][0]["id"])

    def commit(muse: Muse, folder: Path, **files: bytes) -> None:
        for name, data in files.items():
            (folder / name).write_bytes(data)
        assert not muse("-C", str(folder), "status")["clean"]
        muse("-C", str(folder), "commit", "-m", "work", "--author", "Ada <ada@example.org>")
        assert muse("-C", str(folder), "status")["clean"]

    off("init", str(here))
    off("-C", str(here), "config", "set", "user.name", "Ada")
    off("-C", str(here), "config", "set", "user.email", "ada@example.org")
    off("-C", str(here), "remote", "add", "origin", url)
    # So many that they go to the store in packs, at addresses that are valid for a while.
    commit(off, here, **{f"file-{number}": os.urandom(4000) for number in range(20)})
    first = off("-C", str(here), "log")
    off("-C", str(here), "push", "origin", "main")

    right("clone", url, str(there))
    assert head(right, there) == head(off, here)
    right("-C", str(there), "config", "set", "user.name", "Bob")
    right("-C", str(there), "config", "set", "user.email", "bob@example.org")
    commit(right, there, other=b"from a clock that is right")
    right("-C", str(there), "push", "origin", "main")

    off("-C", str(here), "pull")
    assert head(off, here) == head(right, there)
    commit(off, here, other=b"from a clock that is off!!")
    off("-C", str(here), "push", "origin", "main")
    off("-C", str(here), "gc")
    right("-C", str(there), "pull")
    assert head(off, here) == head(right, there)
    assert (there / "other").read_bytes() == b"from a clock that is off!!"
    for muse, folder in ((off, here), (right, there)):
        assert muse("-C", str(folder), "fsck")["problems"] == []

    # The clock was off indeed.
    made_at = datetime.fromisoformat(first["commits"][0]["committer"]["time"]).timestamp()
    assert abs(made_at - time.time() - offset_s) < CLOCK_OFF_S / 2
