"""Small pushes: one stream of frames, one receipt."""

from __future__ import annotations

from tests.musehub.hub import History, RunningHub


def test_a_first_push_creates_a_private_repository_and_its_branch(hub: RunningHub) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    commit = history.commit_files({"a.txt": b"one", "src/b.txt": b"two"})

    result = ada.push_main(history, commit)

    assert result["created"]
    assert result["counts"]["commits"] == 1
    assert result["counts"]["trees"] == 2
    assert result["counts"]["blobs"] == 2
    refs = ada.refs().json()
    assert refs["visibility"] == "private"
    assert refs["default_branch"] == "main"
    assert refs["refs"] == {"heads/main": {"target": commit.hex(), "kind": "commit"}}
