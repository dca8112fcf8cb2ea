"""What status reports, and what it does not need to read for it."""

from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path

import pytest
from tests.muse.worktree.scene import PAST_NS, Link, Scene, Script, opened_paths

from muse.objects.tree import SUBMODULE, Entry
from muse.store.repository import Repository
from muse.worktree.state import Problem
from muse.worktree.statrow import is_settled
from muse.worktree.status import Modified, Renamed, status


def _paths_below(scene: Scene, opened: list[str]) -> list[str]:
    """Files of the user among what was opened; folders are opened to be listed."""
    root = f"{scene.work_dir}/"
    return [
        path
        for path in opened
        if path.startswith(root) and not path.startswith(f"{root}.muse/") and not Path(path).is_dir()
    ]


def test_everything_is_added_before_the_first_commit(scene: Scene) -> None:
    assert scene.status().is_clean
    scene.write({"b/c.txt": b"c", "a": b"", "link": Link("nowhere")})
    (scene.work_dir / "empty" / "folder").mkdir(parents=True)
    found = scene.status()
    assert found.added == ["a", "b/c.txt", "link"]
    assert not found.is_clean


def test_what_changed_about_a_file_is_told(scene: Scene) -> None:
    scene.write(
        {
            "same-size": b"one",
            "size": b"one",
            "mode": b"one",
            "both": b"one",
            "type": b"target",
            "link": Link("a"),
            "untouched": b"",
        }
    )
    scene.commit()
    scene.write({"same-size": b"two", "size": b"three", "both": Script(b"two"), "link": Link("b")})
    scene.path("mode").chmod(0o755)
    scene.delete("type")
    scene.write({"type": Link("target")})
    found = scene.status()
    assert found.modified == [
        Modified("both", True, True, False),
        Modified("link", True, False, False),
        Modified("mode", False, True, False),
        Modified("same-size", True, False, False),
        Modified("size", True, False, False),
        Modified("type", True, False, True),
    ]
    assert found.added == found.deleted == found.renamed == []


def test_files_that_become_folders_and_folders_that_become_files(scene: Scene) -> None:
    scene.write({"file": b"1", "folder/a": b"2", "folder/b/c": b"3"})
    scene.commit()
    scene.delete("file")
    shutil.rmtree(scene.path("folder"))
    scene.write({"file/inner": b"4", "folder": b"5"})
    found = scene.status()
    assert found.deleted == ["file", "folder/a", "folder/b/c"]
    assert found.added == ["file/inner", "folder"]
    tree = scene.commit()
    assert scene.files(tree) == {"file/inner": "f", "folder": "f"}
    assert scene.status().is_clean


def test_a_deleted_folder_lists_its_files(scene: Scene) -> None:
    scene.write({"keep": b"1", "gone/a": b"2", "gone/b/c": b"3"})
    scene.commit()
    shutil.rmtree(scene.path("gone"))
    assert scene.status().deleted == ["gone/a", "gone/b/c"]


def test_a_moved_file_is_renamed_if_its_content_is_the_same(scene: Scene) -> None:
    scene.write({"old/a": b"first content", "b": b"second content", "empty": b"", "link": Link("text")})
    scene.commit()
    for old, new in (("old/a", "moved/a"), ("b", "c"), ("empty", "void")):
        scene.path(new).parent.mkdir(exist_ok=True)
        scene.path(old).rename(scene.path(new))
    scene.delete("link")
    scene.write({"c": b"another words!", "text": b"text"})
    found = scene.status()
    assert found.renamed == [Renamed("old/a", "moved/a")]
    assert found.added == ["c", "text", "void"]
    assert found.deleted == ["b", "empty", "link"]


def test_a_clean_work_tree_needs_no_file_and_no_object(scene: Scene) -> None:
    scene.write({f"d{i}/sub/file{j}": f"{i} {j}".encode() for i in range(4) for j in range(4)})
    scene.write(
        {"top": b"x", ".gitignore": b"*.log\n", "noise.log": b"", "d1/.museignore": b"*.o\n", "d1/a.o": b""}
    )
    scene.commit()
    work_dir = scene.work_dir
    scene.repository.close()
    segments = work_dir / ".muse" / "segments"
    segments.rename(work_dir / ".muse" / "elsewhere")
    segments.mkdir()
    with Repository.open(work_dir) as repository, opened_paths() as opened:
        assert status(repository).is_clean
        rules = [path for path in _paths_below(scene, opened) if not path.endswith("ignore")]
        assert rules == []


def test_touched_files_are_read_once(scene: Scene) -> None:
    scene.write({"a/b": b"content", "c": b"more"})
    scene.commit()
    os.utime(scene.path("a/b"), ns=(PAST_NS, PAST_NS + 5_000_000))
    with opened_paths() as opened:
        assert scene.status().is_clean
        assert _paths_below(scene, opened) == [str(scene.path("a/b"))]
    with opened_paths() as opened:
        assert scene.status().is_clean
        assert _paths_below(scene, opened) == []


def test_a_file_not_clearly_older_than_its_reading_is_read_again(scene: Scene) -> None:
    """Written once more within the same tick of the clock, it would look just the same."""
    scene.write({"a": b"one"})
    later_ns = scene.path("a").stat().st_ctime_ns + 3_600_000_000_001
    os.utime(scene.path("a"), ns=(later_ns, later_ns))
    scene.commit()
    for _ in range(2):
        with opened_paths() as opened:
            assert scene.status().is_clean
            assert _paths_below(scene, opened) == [str(scene.path("a"))]


@pytest.mark.parametrize(
    ("mtime_ns", "ctime_ns", "settled"),
    [
        (9_899_999_999, 9_899_999_999, True),
        (9_900_000_001, 9_900_000_001, False),
        (9_950_000_001, 9_950_000_002, True),  # modified before the inode changed: checkout makes files so
        (8_000_000_000, 8_000_000_000, True),
        (9_000_000_000, 9_500_000_000, False),  # whole seconds: a clock with coarse steps
        (20_000_000_001, 10_000_000_000, False),
    ],
)
def test_when_stats_can_be_trusted(mtime_ns: int, ctime_ns: int, settled: bool) -> None:
    assert is_settled((0o100644, 3, mtime_ns, ctime_ns, 7), 10_000_000_000) is settled


@pytest.mark.parametrize("age_s", [0, 1])
def test_time_stamps_in_whole_seconds_are_not_trusted_for_two(scene: Scene, age_s: int) -> None:
    scene.write({"a": b"one"})
    second = scene.path("a").stat().st_ctime_ns // 1_000_000_000 - age_s
    os.utime(scene.path("a"), ns=(second * 1_000_000_000, second * 1_000_000_000))
    scene.commit()
    with opened_paths() as opened:
        assert scene.status().is_clean
        assert _paths_below(scene, opened) == [str(scene.path("a"))]


def test_head_moved_under_the_work_tree(scene: Scene) -> None:
    """Rows that describe another commit still save reading; what is tracked is what HEAD has."""
    scene.write({"a/x": b"1", "a/y": b"2", "b": b"3"})
    old = scene.commit()
    scene.write({"a/x": b"9", "new": b"4"})
    new = scene.commit()
    scene.point_at(old)
    with opened_paths() as opened:
        found = scene.status()
        assert _paths_below(scene, opened) == []
    assert (found.added, [change.path for change in found.modified]) == (["new"], ["a/x"])
    scene.point_at(new)
    assert scene.status().is_clean


def test_only_the_paths_asked_for(scene: Scene) -> None:
    scene.write({"a/x": b"1", "a/b/y": b"2", "c": b"3"})
    scene.commit()
    scene.write({"a/x": b"11", "a/b/y": b"22", "c": b"33", "a/b/new": b"4", "other": b"5"})
    assert [change.path for change in scene.status("a/b").modified] == ["a/b/y"]
    assert scene.status("a/b").added == ["a/b/new"]
    assert [change.path for change in scene.status("a/x", "c").modified] == ["a/x", "c"]
    assert scene.status("nothing/here").is_clean


def test_submodules_belong_to_somebody_else(scene: Scene) -> None:
    link = Entry("lib", SUBMODULE, bytes(20) + bytes(12), 0)
    tree = scene.tree({"a": b"1", "lib": link})
    scene.checkout(None, tree)
    assert scene.path("lib").is_dir()
    assert scene.status().is_clean
    scene.write({"lib/inside": b"x"})
    assert scene.status().is_clean
    assert scene.commit() == tree
    shutil.rmtree(scene.path("lib"))
    assert scene.status().deleted == ["lib"]


def test_what_no_tree_can_hold_is_reported(scene: Scene) -> None:
    scene.write({"good": b"1"})
    os.mkfifo(scene.path("pipe"))
    (scene.work_dir / os.fsdecode(b"caf\xe9")).write_bytes(b"2")
    scene.write({"sub/.Muse": b"3"})
    with socket.socket(socket.AF_UNIX) as server:
        folder = Path.cwd()
        os.chdir(scene.work_dir)  # a socket's path may not be long
        server.bind("socket")
        os.chdir(folder)
    Repository.init(scene.path("nested")).close()
    scene.write({"nested/file": b"4"})
    found = scene.status()
    assert found.added == ["good"]
    assert set(found.problems) == {
        Problem("caf\udce9", "bad-name"),
        Problem("nested", "nested-repository"),
        Problem("pipe", "special-file"),
        Problem("socket", "special-file"),
        Problem("sub/.Muse", "bad-name"),
    }
    assert [problem.path for problem in found.problems if problem.blocks] == ["caf\udce9", "sub/.Muse"]
    assert all(problem.message.isprintable() for problem in found.problems)


def test_a_repository_made_inside_a_tracked_folder_deletes_nothing(scene: Scene) -> None:
    scene.write({"part/file": b"1", "other": b"2"})
    tree = scene.commit()
    Repository.init(scene.path("part")).close()
    assert scene.status().is_clean
    assert scene.status().problems == [Problem("part", "nested-repository")]
    assert scene.commit() == tree


def test_a_tracked_file_replaced_by_a_pipe_is_gone(scene: Scene) -> None:
    scene.write({"a": b"1"})
    scene.commit()
    scene.delete("a")
    os.mkfifo(scene.path("a"))
    found = scene.status()
    assert found.deleted == ["a"]
    assert found.problems == [Problem("a", "special-file")]


def test_names_that_some_file_systems_confuse(scene: Scene) -> None:
    scene.write({"docs/Read": b"1", "docs/other": b"1"})
    scene.commit()
    scene.write({"docs/read": b"2", "DOCS/x": b"3", "caf\u00e9": b"4", "cafe\u0301": b"5"})
    if len(list(scene.path("docs").iterdir())) < 3:
        pytest.skip("this file system confuses them already")
    assert scene.status().collisions == [
        ("DOCS", "docs"),
        ("cafe\u0301", "caf\u00e9"),
        ("docs/Read", "docs/read"),
    ]


def test_a_work_tree_reached_through_a_link(scene: Scene, tmp_path: Path) -> None:
    scene.write({"a/b": b"1"})
    scene.commit()
    (tmp_path / "alias").symlink_to(scene.work_dir)
    with Repository.open(tmp_path / "alias") as repository:
        assert status(repository).is_clean


def test_a_folder_replaced_by_a_link_is_not_followed(scene: Scene, tmp_path: Path) -> None:
    scene.write({"a/b": b"1"})
    scene.commit()
    scene.path("a").rename(tmp_path / "moved")
    scene.path("a").symlink_to(tmp_path / "moved")
    found = scene.status()
    assert found.deleted == ["a/b"]
    assert found.added == ["a"]


def test_a_repository_that_may_not_be_written_has_a_status(scene: Scene) -> None:
    scene.write({"a": b"1"})
    scene.commit()
    os.utime(scene.path("a"), ns=(PAST_NS, PAST_NS + 7))
    lock = scene.repository.muse_dir / "lock"
    scene.repository.lock.close()
    lock.unlink()
    lock.mkdir()  # no transaction can begin
    assert scene.status().is_clean


def test_a_damaged_row_of_the_stat_cache_costs_only_time(scene: Scene) -> None:
    scene.write({"a/b": b"1", "c": b"2"})
    scene.commit()
    for row in (b"", b"\x01" * 40, b"\xff" * 500):
        with scene.repository.transaction() as transaction:
            for path in ("", "a"):
                scene.repository.stat_cache.save_directory(transaction, path, row)
        assert scene.status().is_clean
