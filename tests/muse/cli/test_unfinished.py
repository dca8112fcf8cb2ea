"""Commands killed while they rewrite the work tree: never taken for whole, finished by one command."""

from __future__ import annotations

import itertools
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tests.hub_process import HubProcess

from .conftest import Muse

_numbers = itertools.count(1)

KILLED = """
import os, signal, sys
event, word, left = sys.argv[1], sys.argv[2], [int(sys.argv[3])]
def hear(name, arguments):
    if name == event and any(word in str(a) for a in arguments):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(hear)
from muse.cli.main import main
main(sys.argv[4:])
"""
IN_CHECKOUT = ("os.rename", "checkout-", 10)
"""The eleventh file is never moved to its place."""
IN_NEW_FOLDERS = ("os.utime", "", 10)
"""The eleventh file was made where it belongs and is not finished."""
IN_FETCH = ("open", "segments/", 0)


def killed(muse: Muse, when: tuple[str, str, int], *arguments: str) -> None:
    """Run a command in a process of its own, which SIGKILL ends at that event."""
    event, word, count = when
    command = [sys.executable, "-c", KILLED, event, word, str(count), "-C", str(muse.folder), *arguments]
    done = subprocess.run(command, env=muse.environment, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done


def files_of(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and ".muse" not in path.parts
    }


OLD = {f"d{i % 3}/f{i}": f"old {i}" for i in range(30)}
NEW = {f"d{i % 3}/f{i}": f"new {i}" for i in range(10, 40)}


@pytest.fixture
def two(muse: Muse) -> Muse:
    """Branches main and new, which differ in 40 files; main is checked out."""
    for path, text in OLD.items():
        muse.write(path, text)
    muse.commit("old")
    muse("switch", "-c", "new")
    for path in OLD.keys() - NEW.keys():
        (muse.folder / path).unlink()
    for path, text in NEW.items():
        muse.write(path, text)
    muse.commit("new")
    muse("switch", "main")
    assert files_of(muse.folder) == OLD
    return muse


@pytest.mark.parametrize(
    ("finish", "files"), [(("switch", "new"), NEW), (("switch", "main"), OLD), (("restore", "."), OLD)]
)
def test_a_killed_switch_is_seen_refused_and_finished(
    two: Muse, finish: tuple[str, ...], files: dict[str, str]
) -> None:
    killed(two, IN_CHECKOUT, "switch", "new")
    assert files_of(two.folder) not in (OLD, NEW)
    shown = two("status")
    assert "a checkout was not finished" in shown.errors
    assert "muse switch main" in shown.errors
    assert "switch" in two("status", "--json").json["unfinished"]["hint"]
    assert "error[checkout-unfinished]" in two("commit", "-m", "half", code=4).errors
    two.write("note", "the user's own")
    two(*finish)
    assert files_of(two.folder) == {**files, "note": "the user's own"}
    assert two("status", "--json").json["unfinished"] is None
    assert two("commit", "-m", "note", "--json").json["deleted"] == 0


def test_edits_after_the_kill_are_not_lost(two: Muse) -> None:
    killed(two, IN_CHECKOUT, "switch", "new")
    two.write("d0/f12", "mine")
    assert "error[would-overwrite]" in two("switch", "new", code=4).errors
    assert (two.folder / "d0/f12").read_text() == "mine"
    assert "error[checkout-unfinished]" in two("commit", "-m", "half", code=4).errors
    two("switch", "-f", "new")
    assert files_of(two.folder) == NEW


def test_killed_again_while_finishing(two: Muse) -> None:
    killed(two, IN_CHECKOUT, "switch", "new")
    killed(two, ("os.rename", "checkout-", 4), "switch", "main")
    two("switch", "new")
    assert files_of(two.folder) == NEW
    assert two("status", "--json").json["clean"]


def test_a_killed_restore_of_some_paths(two: Muse) -> None:
    two.write("d1/f1", "edited")
    killed(two, ("os.rename", "checkout-", 3), "restore", "--source", "new", "d0")
    assert "muse restore d0" in two("status").errors
    two("commit", "-m", "half", code=4)
    two("restore", "--source", "new", "d0")
    assert two("status", "--json").json["unfinished"] is None
    assert (two.folder / "d1/f1").read_text() == "edited"


# ---- clones


@pytest.fixture
def url(two: Muse, hub_process: HubProcess) -> str:
    """A repository that holds both branches."""
    two.environment["MUSE_TOKEN"] = hub_process.token
    url = f"{hub_process.origin}/admin/songs-{next(_numbers)}"
    two("remote", "add", "origin", url)
    two("push", "--all")
    return url


@pytest.mark.parametrize("when", [IN_FETCH, IN_NEW_FOLDERS, ("os.rename", "unfinished.", 1)])
def test_a_killed_clone_is_seen_refused_and_resumed(two: Muse, url: str, when: tuple[str, str, int]) -> None:
    user, copy = two.at(two.folder.parent), two.at(two.folder.parent / "copy")
    killed(user, when, "clone", url, "copy")
    assert "this clone was not finished" in copy("status").errors
    if when is IN_NEW_FOLDERS:
        assert "error[checkout-unfinished]" in copy("pull", code=4).errors
    copy.write("note.txt", "hi")
    assert f"muse clone {url}" in copy("commit", "-m", "half", code=4).errors
    assert "error[already-exists]" in user("clone", f"{url}-other", "copy", code=4).errors
    user("clone", url, "copy")
    assert files_of(copy.folder) == {**OLD, "note.txt": "hi"}
    assert copy("commit", "-m", "n", "--json").json["deleted"] == 0
    assert "error[already-exists]" in user("clone", url, "copy", code=4).errors
