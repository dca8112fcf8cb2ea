"""From the work tree to a tree."""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

import pytest
from tests.muse.worktree.scene import PAST_NS, Link, Scene, Script, opened_paths, refused

from muse.objects.ids import Kind, hash_bytes
from muse.objects.names import check_collisions
from muse.store.fsck import fsck
from muse.store.repository import Repository
from muse.worktree.reading import read_all, read_stable
from muse.worktree.snapshot import snapshot
from muse.worktree.state import Problem


def _content(scene: Scene, tree: bytes) -> dict[str, bytes]:
    from muse.history.lookup import iter_files

    objects = scene.repository.objects
    return {
        path: b"".join(objects.open_file(entry.kind, entry.id))
        for path, entry in iter_files(objects.load, tree)
    }


def test_every_kind_of_file(scene: Scene) -> None:
    scene.write({"a": b"text", "run": Script(b"#!"), "link": Link("a/../b"), "empty": b"", "d/e/f": b"deep"})
    (scene.work_dir / "nothing" / "here").mkdir(parents=True)
    tree = scene.commit()
    assert scene.files(tree) == {"a": "f", "run": "x", "link": "l", "empty": "f", "d/e/f": "f"}
    assert _content(scene, tree)["link"] == b"a/../b"
    assert tree == scene.tree(scene.disk())
    assert scene.commit() == tree


def test_the_first_snapshot_of_nothing_is_the_empty_tree(scene: Scene) -> None:
    assert scene.commit() == scene.tree({})
    scene.write({"a/b": b"1"})
    scene.commit()
    shutil.rmtree(scene.path("a"))
    assert scene.commit() == scene.tree({})


def test_a_folder_that_became_empty_is_gone(scene: Scene) -> None:
    scene.write({"a/b/c": b"1", "d": b"2"})
    scene.commit()
    scene.delete("a/b/c")
    assert scene.commit() == scene.tree({"d": b"2"})
    assert scene.path("a/b").is_dir()
    assert scene.status().is_clean


def test_a_large_file_is_stored_in_chunks(scene: Scene) -> None:
    data = random.Random(1).randbytes(5 << 20)
    scene.write({"large": data, "tool": Script(data[: 4 << 20])})
    tree = scene.commit()
    assert scene.files(tree) == {"large": "c", "tool": "k"}
    assert _content(scene, tree) == {"large": data, "tool": data[: 4 << 20]}
    os.utime(scene.path("large"), ns=(PAST_NS, PAST_NS + 3))
    assert scene.status().is_clean
    scene.path("large").chmod(0o755)
    assert scene.files(scene.commit()) == {"large": "k", "tool": "k"}
    scene.write({"large": data[: 1 << 20]})
    assert scene.files(scene.commit())["large"] == "f"
    assert list(fsck(scene.repository)) == []


def test_only_what_changed_is_read(scene: Scene) -> None:
    scene.write({f"d{i}/f{j}": f"{i}{j}".encode() for i in range(5) for j in range(5)})
    scene.commit()
    scene.write({"d1/f1": b"changed", "d2/new": b"new"})
    with opened_paths() as opened:
        scene.commit()
    read = {path for path in opened if Path(path).is_file() and ".muse" not in path}
    assert read == {str(scene.path("d1/f1")), str(scene.path("d2/new"))}


def test_a_folder_of_many_files_is_edited_not_rebuilt(scene: Scene) -> None:
    scene.write({f"big/{i:04}": str(i).encode() for i in range(600)})
    scene.commit()
    scene.write({"big/0300": b"changed"})
    scene.delete("big/0301")
    tree = scene.commit()
    assert tree == scene.tree(scene.disk())
    assert scene.status().is_clean


def test_paths_limit_what_is_committed(scene: Scene) -> None:
    scene.write({"a/x": b"1", "a/b/y": b"2", "c": b"3", "gone/z": b"4", "gone/w": b"5"})
    first = scene.commit()
    scene.write({"a/x": b"11", "a/b/y": b"22", "c": b"33", "a/b/new/deep": b"6"})
    shutil.rmtree(scene.path("gone"))
    tree = scene.commit("a/b", "gone/z")
    assert tree == scene.tree({"a/x": b"1", "a/b/y": b"22", "a/b/new/deep": b"6", "c": b"3", "gone/w": b"5"})
    found = scene.status()
    assert [change.path for change in found.modified] == ["a/x", "c"]
    assert found.deleted == ["gone/w"]
    assert scene.commit("") == scene.tree(scene.disk())
    assert scene.status().is_clean
    assert first != tree


def test_a_file_where_a_chosen_path_had_a_folder(scene: Scene) -> None:
    scene.write({"a/x": b"1", "a/y": b"2"})
    scene.commit()
    shutil.rmtree(scene.path("a"))
    scene.write({"a": b"now a file"})
    assert scene.commit("a/x") == scene.tree({"a/y": b"2"})
    assert scene.commit("a") == scene.tree({"a": b"now a file"})


@pytest.mark.parametrize("path", ["nowhere", "a/nowhere", "build/out", "build"])
def test_an_unknown_path_commits_nothing(scene: Scene, path: str) -> None:
    scene.write({"a/x": b"1", ".museignore": b"build/\n", "build/out": b"2"})
    scene.commit()
    head = scene.repository.refs.head()
    with refused("unknown-path"):
        scene.commit(path)
    assert scene.repository.refs.head() == head


def test_names_that_no_tree_can_hold_stop_a_commit(scene: Scene) -> None:
    scene.write({"good": b"1"})
    (scene.work_dir / os.fsdecode(b"b\xe4d")).write_bytes(b"2")
    with refused("bad-path") as refusal:
        scene.commit()
    assert refusal.error.details["path"] == "b\\xe4d"
    scene.write({".museignore": b"b*d\n"})
    assert set(scene.files(scene.commit())) == {"good", ".museignore"}


def test_pipes_and_nested_repositories_are_left_out_aloud(scene: Scene) -> None:
    scene.write({"good": b"1"})
    os.mkfifo(scene.path("pipe"))
    Repository.init(scene.path("nested")).close()
    problems: list[Problem] = []
    assert set(scene.files(scene.commit(problems=problems))) == {"good"}
    assert problems == [Problem("pipe", "special-file"), Problem("nested", "nested-repository")]


def test_names_that_collide_elsewhere_are_committed_and_reported(scene: Scene) -> None:
    scene.write({"Read": b"1", "read": b"2"})
    if len(scene.disk()) < 2:
        pytest.skip("this file system confuses them already")
    problems: list[Problem] = []
    tree = scene.commit(problems=problems)
    assert problems == [Problem("read", "name-collision")]
    with refused("name-collision"):
        check_collisions(scene.files(tree))


def test_a_file_replaced_while_it_is_read_is_read_again(scene: Scene) -> None:
    scene.write({"a": b"first"})
    calls = []

    def replace_once(phase: str, done: int, total: int | None, unit: str) -> None:
        if phase == "storing files" and not calls:
            calls.append(phase)
            scene.write({"other": b"second, and longer"})
            scene.path("other").rename(scene.path("a"))

    tree = scene.commit(progress=replace_once)
    assert calls
    assert _content(scene, tree) == {"a": b"second, and longer"}
    assert scene.status().is_clean


def test_a_file_that_keeps_changing_stops_the_commit(scene: Scene) -> None:
    scene.write({"a": b"first"})
    place = scene.path("a")

    def append(fd: int, size_bytes: int) -> tuple[bytes, int]:
        result = read_all(fd, size_bytes)
        place.write_bytes(place.read_bytes() + b"!")
        return result

    with refused("changed-while-reading") as refusal:
        read_stable(str(place), "a", append)
    assert refusal.error.details == {"path": "a"}
    assert refusal.error.retry


def test_a_file_that_vanishes_while_a_commit_runs_commits_nothing(scene: Scene) -> None:
    scene.write({"a": b"first", "b": b"second"})

    def delete_both(phase: str, done: int, total: int | None, unit: str) -> None:
        for name in ("a", "b"):
            scene.path(name).unlink(missing_ok=True)

    with refused("changed-while-reading"):
        scene.commit(progress=delete_both)
    assert scene.repository.refs.head().target is None
    assert not scene.repository.objects.has(Kind.BLOB, hash_bytes(b"first"))


def test_a_file_that_became_a_pipe_does_not_hang(scene: Scene) -> None:
    os.mkfifo(scene.path("a"))
    with refused("changed-while-reading"):
        read_stable(str(scene.path("a")), "a", read_all)


def test_progress_counts_files_and_for_large_ones_bytes(scene: Scene) -> None:
    scene.write({f"f{i:03}": str(i).encode() for i in range(130)})
    seen: list[tuple[str, int, int | None, str]] = []
    scene.commit(progress=lambda *call: seen.append(call))
    storing = [call for call in seen if call[0] == "storing files"]
    assert [call[1] for call in storing] == [0, 64, 128, 130]
    assert {call[2:] for call in storing} == {(130, "files")}
    seen.clear()
    with scene.path("large").open("wb") as file:
        file.truncate(65 << 20)
    scene.commit(progress=lambda *call: seen.append(call))
    assert seen[-1] == ("storing files", 65 << 20, 65 << 20, "bytes")
    assert len(seen) < 20


def test_a_failed_transaction_leaves_the_stat_cache_alone(scene: Scene) -> None:
    scene.write({"a": b"1"})
    scene.commit()
    scene.write({"a": b"2"})

    def snapshot_and_fail() -> None:
        with scene.repository.transaction("commit") as transaction:
            snapshot(scene.repository, transaction)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        snapshot_and_fail()
    assert [change.path for change in scene.status().modified] == ["a"]


def test_objects_that_a_clean_up_removed_are_stored_again(scene: Scene) -> None:
    """The stat cache may vouch for a file whose blob is gone."""
    scene.write({"a": b"one"})
    old = scene.commit()
    scene.write({"a": b"two", "b/c": b"three"})
    scene.commit()
    scene.point_at(old)
    tree = scene.commit()
    assert _content(scene, tree) == {"a": b"two", "b/c": b"three"}
    assert list(fsck(scene.repository)) == []
