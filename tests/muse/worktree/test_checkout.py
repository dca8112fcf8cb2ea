"""From a tree to files: exact, complete, and never over somebody's work."""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.full_disk import file_size_limit
from tests.muse.worktree.scene import (
    Content,
    Link,
    Scene,
    Script,
    counted_events,
    on_first_open,
    opened_paths,
    read_disk,
    refused,
)

from muse.objects.tree import SUBMODULE, Entry
from muse.store.repository import Repository
from muse.worktree.checkout import checkout
from muse.worktree.status import status

BEFORE: Mapping[str, Content] = {
    "same": b"untouched", "edited": b"one", "gone": b"1", "folder/gone": b"2", "deep/er/gone": b"3",
    "mode": b"#!", "kind": b"text", "becomes-folder": b"4", "becomes-file/a": b"5", "becomes-file/b/c": b"6",
}  # fmt: skip
AFTER: Mapping[str, Content] = {
    "same": b"untouched", "edited": b"two", "mode": Script(b"#!"), "kind": Link("text"), "empty": b"",
    "becomes-folder/x": b"7", "becomes-folder/y/z": b"8", "becomes-file": b"9", "new/one": b"10",
    "link-into": Link("new/one"),
}  # fmt: skip


def _snapshot_of(folder: Path) -> dict[str, tuple[int, int, int]]:
    """What must not change when nothing may happen."""
    return {
        str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns, path.lstat().st_mode)
        for path in sorted(folder.rglob("*"))
        if ".muse" not in path.parts
    }


def test_a_checkout_makes_exactly_the_tree(scene: Scene) -> None:
    old, new = scene.tree(BEFORE), scene.tree(AFTER)
    assert scene.checkout(None, old).written == len(BEFORE)
    assert scene.disk() == BEFORE
    assert scene.status().is_clean
    result = scene.checkout(old, new)
    assert scene.disk() == AFTER
    assert scene.status().is_clean
    assert (result.written, result.deleted, result.unchanged) == (9, 6, 0)
    assert not scene.path("deep").exists()
    assert scene.commit() == new
    scene.checkout(new, None)
    assert list(scene.work_dir.iterdir()) == [scene.work_dir / ".muse"]


def test_after_a_checkout_no_file_needs_to_be_read(scene: Scene) -> None:
    data = random.Random(2).randbytes(4 << 20)
    old = scene.tree({"a/b": b"1", "a/c": b"2", "run": Script(b"3"), "link": Link("a"), "same/x": b"4"})
    scene.checkout(None, old)
    scene.write({"large": data})
    new = scene.commit()
    scene.checkout(new, old)
    scene.checkout(old, new)
    with opened_paths() as opened:
        assert scene.status().is_clean
    assert [path for path in opened if Path(path).is_file() and "/.muse/" not in path] == []


def test_modes_follow_the_umask(scene: Scene) -> None:
    before = os.umask(0o027)
    try:
        scene.checkout(None, scene.tree({"plain": b"1", "run": Script(b"2")}))
    finally:
        os.umask(before)
    assert stat.S_IMODE(scene.path("plain").stat().st_mode) == 0o640
    assert stat.S_IMODE(scene.path("run").stat().st_mode) == 0o750


def test_a_large_file_is_streamed(scene: Scene) -> None:
    data = random.Random(3).randbytes(9 << 20)
    scene.write({"large": data, "tool": Script(data[: 5 << 20])})
    tree = scene.commit()
    scene.delete("large", "tool")
    seen: list[tuple[str, int, int | None, str]] = []
    scene.checkout(None, tree, progress=lambda *call: seen.append(call))
    assert scene.disk() == {"large": data, "tool": Script(data[: 5 << 20])}
    assert seen[-1] == ("writing files", 2, 2, "files")


# ---- somebody's work


@pytest.mark.parametrize(
    "work",
    [
        {"edited": b"mine"},
        {"edited": Script(b"one")},
        {"gone": b"mine"},
        {"empty": b"untracked in the way"},
        {"new": b"a file where a folder has to be"},
        {"becomes-file/mine": b"untracked in a folder that has to go"},
        {"kind": Link("elsewhere")},
    ],
)
def test_uncommitted_work_is_never_overwritten(scene: Scene, work: Mapping[str, Content]) -> None:
    old, new = scene.tree(BEFORE), scene.tree(AFTER)
    scene.checkout(None, old)
    scene.write(work)
    before, files = _snapshot_of(scene.work_dir), scene.disk()
    with refused("would-overwrite") as refusal:
        scene.checkout(old, new)
    assert refusal.error.details["paths"] == list(work)
    assert _snapshot_of(scene.work_dir) == before
    assert scene.disk() == files
    scene.checkout(old, new, force=True)
    assert {path: content for path, content in scene.disk().items() if path in AFTER} == AFTER


def test_all_conflicts_are_named_at_once(scene: Scene) -> None:
    old, new = scene.tree(BEFORE), scene.tree(AFTER)
    scene.checkout(None, old)
    scene.write({"edited": b"mine", "empty": b"mine", "gone": b"mine"})
    with refused("would-overwrite") as refusal:
        scene.checkout(old, new)
    assert refusal.error.details == {"paths": ["edited", "empty", "gone"], "count": 3}


def test_ignored_files_are_work_too(scene: Scene) -> None:
    old = scene.tree({".museignore": b"*.o\n"})
    new = scene.tree({".museignore": b"*.o\n", "a.o": b"theirs"})
    scene.checkout(None, old)
    scene.write({"a.o": b"mine"})
    with refused("would-overwrite"):
        scene.checkout(old, new)
    assert scene.disk()["a.o"] == b"mine"


def test_changes_that_do_not_conflict_stay(scene: Scene) -> None:
    old, new = scene.tree(BEFORE), scene.tree(AFTER)
    scene.checkout(None, old)
    scene.write({"same": b"mine", "untracked": b"mine", "folder/note": b"mine"})
    scene.delete("edited")
    scene.checkout(old, new)
    assert scene.disk() == {**AFTER, "same": b"mine", "untracked": b"mine", "folder/note": b"mine"}
    assert [change.path for change in scene.status().modified] == ["same"]


def test_what_has_the_wanted_content_already_is_left_alone(scene: Scene) -> None:
    old, new = scene.tree({"a": b"1"}), scene.tree({"a": b"2", "b": b"3"})
    scene.checkout(None, old)
    scene.write({"a": b"2", "b": b"3"})
    before = _snapshot_of(scene.work_dir)
    assert scene.checkout(old, new).unchanged == 2
    assert _snapshot_of(scene.work_dir) == before
    with opened_paths() as opened:
        assert scene.status().is_clean
    assert not [path for path in opened if path.endswith(("/a", "/b"))]


def test_a_file_found_in_place_is_not_trusted_while_it_is_fresh(scene: Scene) -> None:
    scene.write({"a": b"1"})
    later_ns = scene.path("a").stat().st_ctime_ns + 3_600_000_000_001
    os.utime(scene.path("a"), ns=(later_ns, later_ns))
    scene.checkout(None, scene.tree({"a": b"1"}))
    with opened_paths() as opened:
        assert scene.status().is_clean
    assert str(scene.path("a")) in opened


def test_a_folder_in_the_place_of_a_deleted_file_stays(scene: Scene) -> None:
    old, new = scene.tree({"a": b"1", "b": b"2"}), scene.tree({"b": b"2"})
    scene.checkout(None, old)
    scene.delete("a")
    scene.write({"a/mine": b"3"})
    scene.checkout(old, new)
    assert scene.disk() == {"a/mine": b"3", "b": b"2"}


def test_force_removes_a_folder_in_the_way_but_no_repository(scene: Scene) -> None:
    tree = scene.tree({"a": b"1"})
    scene.write({"a/x/y": b"mine", "a/z": b"mine"})
    scene.path("a/empty").mkdir()
    inner = Repository.init(scene.path("a/x"))
    inner.close()
    for force in (False, True):
        with refused("would-overwrite") as refusal:
            scene.checkout(None, tree, force=force)
    assert refusal.error.details["paths"] == ["a/x/.muse"]
    shutil.rmtree(scene.path("a/x/.muse"))
    scene.checkout(None, tree, force=True)
    assert scene.disk() == {"a": b"1"}


def test_empty_folders_in_the_way_go(scene: Scene) -> None:
    scene.path("a/b/c").mkdir(parents=True)
    scene.checkout(None, scene.tree({"a": b"1"}))
    assert scene.disk() == {"a": b"1"}


def test_submodules_come_and_go_as_folders(scene: Scene) -> None:
    link = Entry("lib", SUBMODULE, b"\x01" * 20 + bytes(12), 0)
    with_lib, without = scene.tree({"a": b"1", "x/lib": link}), scene.tree({"a": b"1"})
    scene.checkout(None, with_lib)
    assert scene.path("x/lib").is_dir()
    scene.checkout(with_lib, without)
    assert not scene.path("x").exists()
    scene.checkout(without, with_lib)
    scene.write({"x/lib/inside": b"theirs"})
    scene.checkout(with_lib, without)
    assert scene.disk() == {"a": b"1", "x/lib/inside": b"theirs"}


# ---- what goes wrong


def test_a_full_disk_in_the_middle_can_be_repeated(scene: Scene) -> None:
    scene.checkout(None, scene.tree({"a": b"1"}))
    scene.write({"b": b"2", "big": random.Random(4).randbytes(6 << 20)})
    new = scene.commit()
    content = scene.disk()
    old = scene.tree({"a": b"1"})
    scene.checkout(new, old)
    with refused("disk-full") as refusal, file_size_limit(5 << 20):
        checkout(scene.repository, None, old, new)
    assert refusal.error.details == {"path": "big", "written": 1, "total": 2}
    assert refusal.error.retry
    assert scene.disk() == {"a": b"1", "b": b"2"}
    assert list(scene.repository.temporary_dir.iterdir()) == []
    scene.checkout(old, new)
    assert scene.disk() == content


@contextmanager
def _obeying_permissions() -> Iterator[None]:
    """Root may write everything; without the capability for that this thread may not."""
    if os.geteuid() != 0:
        yield
        return
    libc = ctypes.CDLL(None, use_errno=True)
    version_3, override = 0x20080522, 1 << 1  # CAP_DAC_OVERRIDE
    header, words = (ctypes.c_uint32 * 2)(version_3, 0), (ctypes.c_uint32 * 6)()
    assert libc.capget(header, words) == 0
    effective = words[0]
    words[0] = effective & ~override
    assert libc.capset(header, words) == 0
    try:
        yield
    finally:
        words[0] = effective
        assert libc.capset(header, words) == 0


def test_a_read_only_folder_says_what_was_written(scene: Scene) -> None:
    old = scene.tree({"a/x": b"1", "z": b"1"})
    scene.checkout(None, old)
    scene.path("a").chmod(0o555)
    try:
        with _obeying_permissions(), refused("read-only") as refusal:
            scene.checkout(old, scene.tree({"a/x": b"2", "z": b"2"}))
    finally:
        scene.path("a").chmod(0o755)
    assert refusal.error.details["total"] == 2


_OTHER_MOUNT = """
import subprocess, sys
from pathlib import Path
from muse.errors import MuseError
from muse.store.repository import Repository
from muse.worktree.checkout import checkout
work_dir, old, new = Path(sys.argv[1]), bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3])
subprocess.run(["mount", "--bind", work_dir / "m", work_dir / "m"], check=True)
with Repository.open(work_dir) as repository:
    subprocess.run(["mount", "-o", "remount,ro,bind", work_dir / "m"], check=True)
    try:
        checkout(repository, None, old, new)
    except MuseError as error:
        print(error.code, error.details["path"])
    subprocess.run(["mount", "-o", "remount,rw,bind", work_dir / "m"], check=True)
    print(checkout(repository, None, old, new).written)
"""


def test_a_folder_that_is_another_mount_is_written_or_refused(scene: Scene) -> None:
    """Nothing can be moved into it from elsewhere; while it is read-only, nothing can be written at all."""
    files: dict[str, Content] = {"m/a": b"2", "m/b": Script(b"3"), "m/s/c": b"4", "m/link": Link("a")}
    old, new = scene.tree({"m/a": b"1"}), scene.tree(files)
    scene.checkout(None, old)
    command = ["unshare", "--mount", sys.executable, "-c", _OTHER_MOUNT]
    if (
        shutil.which("unshare") is None
        or subprocess.run(["unshare", "--mount", "true"], check=False).returncode
    ):
        pytest.skip("mounting is not allowed here")
    child = subprocess.run(
        [*command, scene.work_dir, old.hex(), new.hex()], capture_output=True, text=True, check=True
    )
    assert child.stdout.split("\n")[:2] == ["read-only m/link", "4"]
    assert scene.disk() == files


def test_a_missing_object_is_found_before_anything_is_touched(scene: Scene) -> None:
    missing = Entry("b", "f", bytes(32), 5)
    with scene.repository.transaction() as transaction:
        from muse.history.directory import build_directory

        tree = build_directory([missing], transaction.put).id
    old = scene.tree({"a": b"1"})
    scene.checkout(None, old)
    before = _snapshot_of(scene.work_dir)
    with refused("missing-object"):
        checkout(scene.repository, None, old, tree)
    assert _snapshot_of(scene.work_dir) == before


_KILLED = """
import os, sys
from pathlib import Path
from muse.store.repository import Repository
from muse.worktree.checkout import checkout
repository = Repository.open(Path(sys.argv[1]))
old, new, steps = bytes.fromhex(sys.argv[2]), bytes.fromhex(sys.argv[3]), int(sys.argv[4])
count = 0
def hear(event, arguments):
    global count
    if event in ("open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.symlink"):
        count += 1
        if count > steps:
            os._exit(9)
sys.addaudithook(hear)
checkout(repository, None, old, new)
"""


def test_a_checkout_that_was_killed_is_completed_by_repeating_it(scene: Scene) -> None:
    old, new = scene.tree(BEFORE), scene.tree(AFTER)
    scene.checkout(None, old)
    exits = []
    for steps in (8, 14, 21, 30, 400):
        child = subprocess.run(
            [sys.executable, "-c", _KILLED, scene.work_dir, old.hex(), new.hex(), str(steps)], check=False
        )
        exits.append(child.returncode)
        scene.checkout(old, new)
        assert scene.disk() == AFTER
        assert scene.status().is_clean
        scene.checkout(new, old)
        assert scene.disk() == BEFORE
    assert exits[0] == 9
    assert exits[-1] == 0


_KILLED_IN_A_FILE = """
import resource, signal, sys
from pathlib import Path
from muse.store.repository import Repository
from muse.worktree.checkout import checkout
repository = Repository.open(Path(sys.argv[1]))
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
def hear(event, arguments):
    if event == "open" and arguments[0] == "large":
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
sys.addaudithook(hear)
checkout(repository, None, None, bytes.fromhex(sys.argv[2]))
"""


def _kill_in_a_file(scene: Scene, tree: bytes) -> None:
    subprocess.run([sys.executable, "-c", _KILLED_IN_A_FILE, scene.work_dir, tree.hex()], check=False)
    assert scene.path("new/folder/large").stat().st_size == 1000


@pytest.mark.skipif(sys.platform != "linux", reason="kills by the limit of a file's size")
def test_a_checkout_that_was_killed_in_the_middle_of_a_file_is_completed(scene: Scene) -> None:
    files: dict[str, Content] = {"a": b"1", "new/folder/large": b"long line\n" * 900, "new/z": b"2"}
    tree, other = scene.tree(files), scene.tree({"a": b"1", "new/z": b"3"})
    _kill_in_a_file(scene, tree)
    scene.checkout(None, tree)
    assert scene.disk() == files
    assert scene.status().is_clean
    scene.checkout(tree, None)
    _kill_in_a_file(scene, tree)
    scene.checkout(None, other)
    assert scene.disk() == {"a": b"1", "new/z": b"3"}


@pytest.mark.skipif(sys.platform != "linux", reason="kills by the limit of a file's size")
def test_what_is_not_the_beginning_of_a_file_is_somebodys_work(scene: Scene) -> None:
    tree = scene.tree({"new/folder/large": b"long line\n" * 900})
    _kill_in_a_file(scene, tree)
    scene.write({"new/folder/large": b"long line\nmine"}, fresh=True)
    with refused("would-overwrite"):
        scene.checkout(None, tree)
    assert scene.disk() == {"new/folder/large": b"long line\nmine"}


def test_the_beginning_of_a_file_is_somebodys_work_where_nothing_was_interrupted(scene: Scene) -> None:
    tree = scene.tree({"folder/file": b"long line\n" * 900})
    scene.write({"folder/file": b"long line\n"})
    with refused("would-overwrite"):
        scene.checkout(None, tree)
    assert scene.disk() == {"folder/file": b"long line\n"}


def test_a_file_in_a_new_folder_costs_no_move_and_no_second_look(scene: Scene) -> None:
    tree = scene.tree({f"folder/{number}": b"%d" % number for number in range(50)})
    with counted_events("os.rename", "os.mkdir", "os.remove") as events:
        scene.checkout(None, tree)
    assert events["os.rename"] <= 3  # of the mark that stands meanwhile
    assert events["os.mkdir"] <= 2


def test_what_appears_in_a_new_folder_meanwhile_is_not_overwritten(scene: Scene) -> None:
    tree = scene.tree({"folder/a": b"1", "folder/b": b"2"})
    with on_first_open("a", lambda: scene.write({"folder/b": b"mine"})), refused("would-overwrite"):
        scene.checkout(None, tree)
    assert scene.disk()["folder/b"] == b"mine"


def test_two_checkouts_do_not_mix(scene: Scene) -> None:
    from muse.worktree.lock import work_tree_lock

    tree = scene.tree({"a": b"1"})
    with work_tree_lock(scene.repository, exclusive=False), Repository.open(scene.work_dir) as other:
        other.busy_timeout_s = 0.01
        with refused("locked"):
            checkout(other, None, None, tree)
    assert scene.disk() == {}
    assert scene.checkout(None, tree).written == 1


def test_names_that_the_file_system_confuses_are_refused(scene: Scene) -> None:
    """A link named .MUSE makes this file system look like one without case."""
    scene.path(".MUSE").symlink_to(".muse")
    both = scene.tree({"docs/Read": b"1", "docs/read": b"2"})
    with refused("name-collision"):
        checkout(scene.repository, None, None, both)
    assert not scene.path("docs").exists()
    checkout(scene.repository, None, None, scene.tree({"docs/Read": b"1", "read": b"2"}))
    assert scene.path("docs/Read").exists()


# ---- restore


def test_restore_overwrites_the_chosen_paths_alone(scene: Scene) -> None:
    scene.write({"a/x": b"1", "a/y": b"2", "b": b"3", "run": Script(b"4")})
    tree = scene.commit()
    scene.write({"a/x": b"mine", "a/new": b"mine", "b": b"mine"})
    scene.delete("a/y")
    scene.path("run").chmod(0o644)
    assert scene.restore(tree, "a").written == 2
    assert scene.disk() == {"a/x": b"1", "a/y": b"2", "a/new": b"mine", "b": b"mine", "run": b"4"}
    scene.restore(tree, "run", "b")
    scene.delete("a/new")
    with opened_paths() as opened:
        assert scene.status().is_clean
    assert not [path for path in opened if path.endswith(("/x", "/y", "/b", "/run"))]


def test_restore_from_another_commit(scene: Scene) -> None:
    scene.write({"a": b"1", "d/old": b"2", "d/both": b"3"})
    old = scene.commit()
    scene.delete("d/old")
    scene.write({"a": b"11", "d/new": b"4"})
    scene.commit()
    scene.restore(old, "d")
    assert scene.disk() == {"a": b"11", "d/old": b"2", "d/both": b"3"}
    found = scene.status()
    assert (found.added, found.deleted) == (["d/old"], ["d/new"])
    scene.restore(old, "")
    assert scene.commit() == old


def test_restore_brings_a_file_back_where_a_folder_or_link_stands(scene: Scene, tmp_path: Path) -> None:
    scene.write({"a": b"1", "d/x": b"2"})
    tree = scene.commit()
    scene.delete("a", "d/x")
    scene.path("d").rmdir()
    scene.path("a").mkdir()
    (tmp_path / "outside").mkdir()
    scene.path("d").symlink_to(tmp_path / "outside")
    scene.restore(tree, "a", "d")
    assert scene.disk() == {"a": b"1", "d/x": b"2"}
    assert read_disk(tmp_path / "outside") == {}
    scene.delete("a")
    scene.write({"a/mine": b"untracked"})
    with refused("would-overwrite"):
        scene.restore(tree, "a")


def test_restore_of_an_unknown_path(scene: Scene) -> None:
    scene.write({"a": b"1", "untracked": b"2"})
    tree = scene.commit("a")
    with refused("unknown-path"):
        scene.restore(tree, "untracked")
    assert scene.disk()["untracked"] == b"2"


def test_a_clean_clone_of_many_files_has_all_rows(scene: Scene) -> None:
    files: dict[str, Content] = {f"d{i % 30}/f{i}": f"{i}".encode() for i in range(900)}
    tree = scene.tree(files)
    scene.checkout(None, tree)
    assert scene.disk() == files
    scene.repository.close()
    shutil.rmtree(scene.work_dir / ".muse" / "segments")
    (scene.work_dir / ".muse" / "segments").mkdir()
    with Repository.open(scene.work_dir) as repository:
        assert status(repository).is_clean
