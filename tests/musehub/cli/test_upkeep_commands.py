"""gc, fsck, backup, restore, quota, repo as an operator types them, on a hub that is running."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.hub_process import HubProcess
from tests.musehub.hub import History, HubUser, Remote

from musehub.cli.main import main

Run = Callable[..., tuple[int, Any, str]]


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[HubProcess]:
    process = HubProcess(tmp_path / "hub")
    yield process
    process.stop()


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command on that hub's data, or on other data: exit code, document, errors."""

    def run_command(*arguments: str, data: Path = tmp_path / "hub" / "data") -> tuple[int, Any, str]:
        code = main([*arguments, "--data", str(data), "--json"])
        captured = capsys.readouterr()
        return code, json.loads(captured.out) if captured.out else None, captured.err

    return run_command


def test_a_week_in_the_life_of_a_hub(hub: HubProcess, run: Run, tmp_path: Path) -> None:
    admin: Remote = HubUser(str(hub.origin), "admin", hub.token).repository("songs")
    history = History()
    first = history.commit_files({"a": os.urandom(2000)})
    admin.push_main(history, first)

    code, room, _ = run("quota", "set", "admin/songs", "--bytes", "1m")
    assert (code, room["max_bytes"], room["used_objects"]) == (0, 1 << 20, 3)
    assert run("quota", "show", "admin")[1]["used_bytes"] == room["used_bytes"]
    assert run("quota", "set", "admin/songs", "--bytes", "some")[0] == 2
    assert run("quota", "show", "admin/nothing")[0] == 3
    assert run("repo", "set", "admin/songs", "--signatures", "signed")[0] == 0
    assert run("repo", "set", "admin/songs", "--signatures", "odd")[0] == 2

    assert run("fsck", "--deep")[1]["repositories"][0]["problems"] == []
    assert run("gc", "--dry-run")[1]["freed_bytes"] == 0
    assert run("gc", "admin/songs")[1]["deleted_keys"] == 0

    code, report, _ = run("backup", str(tmp_path / "backup"))
    assert (code, report["copied_packs"], report["missing_packs"]) == (0, 1, [])
    code, checked, _ = run("restore", str(tmp_path / "backup"), data=tmp_path / "new")
    assert (code, checked["repositories"][0]["problems"]) == (0, [])
    assert run("restore", str(tmp_path / "backup"), data=tmp_path / "new")[0] == 4
    assert run("restore", str(tmp_path / "nowhere"), data=tmp_path / "newer")[0] == 3

    (pack,) = (tmp_path / "hub" / "data" / "store" / "packs").glob("*/*")
    pack.unlink()
    code, checked, error = run("fsck", "admin/songs")
    assert code == 5
    assert [problem["what"] for problem in checked["repositories"][0]["problems"]] == ["pack-missing"]
    assert "--repair" in error


def test_repositories_are_listed_and_made_public(
    hub: HubProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> tuple[int, str]:
        code = main([*words, "--data", str(tmp_path / "hub" / "data")])
        shown = capsys.readouterr()
        return code, shown.out + shown.err

    remote = HubUser(str(hub.origin), "admin", hub.token).repository("songs")
    history = History()
    remote.push_main(history, history.commit_files({"a": b"1"}))
    address = f"{hub.origin}/admin/songs/refs"
    assert httpx.get(address).status_code == 404
    assert run("repo", "set", "admin/songs", "--visibility", "public") == (
        0,
        '"admin/songs": visibility public\n',
    )
    assert httpx.get(address).status_code == 200
    code, listed = run("repo", "list")
    assert (code, listed.split()[:2]) == (0, ["admin/songs", "public"])
    assert json.loads(run("repo", "list", "--json")[1])["repositories"][0]["stored_objects"] == 3
    code, error = run("repo", "set", "admin/songs")
    assert (code, "--visibility" in error) == (2, True)
    assert "error[repository-not-found]" in run("repo", "set", "admin/none", "--visibility", "public")[1]


def test_people_can_read_it(hub: HubProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = str(tmp_path / "hub" / "data")
    remote = HubUser(str(hub.origin), "admin", hub.token).repository("songs")
    history = History()
    remote.push_main(history, history.commit_files({"a": b"1"}))
    for words in (
        ["quota", "show", "admin/songs"],
        ["gc", "--dry-run"],
        ["gc"],
        ["fsck"],
        ["backup", str(tmp_path / "backup")],
    ):
        assert main([*words, "--data", data]) == 0
    assert main(["restore", str(tmp_path / "backup"), "--data", str(tmp_path / "new")]) == 0
    shown = capsys.readouterr().out
    assert "admin/songs holds 3 objects of any number" in shown
    assert "checked 3 objects and 1 packs in 1 repositories: nothing is wrong" in shown
    assert "restored" in shown
