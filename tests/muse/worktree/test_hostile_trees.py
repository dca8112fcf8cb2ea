"""Trees made by somebody who wants to write outside of the work tree, or into what other programs trust."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.muse.worktree.scene import Link, Scene, read_disk, refused

from muse.history.directory import build_directory
from muse.objects.ids import Kind
from muse.objects.tree import DIRECTORY, FILE, SYMLINK, Entry
from muse.worktree.bounds import iter_changes
from muse.worktree.checkout import checkout
from muse.worktree.paths import to_tree_path


def _raw_tree(scene: Scene, *entries: tuple[str, str, bytes]) -> bytes:
    """Build one directory of (name, kind, content or tree id) as its maker wants it."""
    with scene.repository.transaction() as transaction:
        return build_directory(
            [
                Entry(name, kind, data, 0, 1)
                if kind == DIRECTORY
                else Entry(name, kind, transaction.put(Kind.BLOB, data), len(data))
                for name, kind, data in entries
            ],
            transaction.put,
        ).id


@pytest.mark.parametrize("name", [".git", ".GIT", ".g\u200cit", ".Git\ufeff"])
def test_the_metadata_of_other_programs_is_never_written(scene: Scene, name: str) -> None:
    for path in (name, f"{name}/hooks/post-checkout", f"sub/{name}/config"):
        with refused("bad-path"):
            checkout(scene.repository, None, None, scene.tree({"good": b"1", path: b"evil"}), force=True)
        assert read_disk(scene.work_dir) == {}


def test_names_like_those_are_fine(scene: Scene) -> None:
    files = {".gitignore": b"", ".github/x": b"1", "a.git/b": b"2", "git": b"3", "caf\u00e9.git": b"4"}
    scene.checkout(None, scene.tree(files))
    assert scene.disk() == files


def test_a_link_on_disk_is_never_written_through(scene: Scene, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x").write_bytes(b"theirs")
    tree = scene.tree({"a/x": b"evil", "a/y": b"evil"})
    scene.path("a").symlink_to(outside)
    with refused("would-overwrite") as refusal:
        scene.checkout(None, tree)
    assert refusal.error.details["paths"] == ["a"]
    scene.checkout(None, tree, force=True)
    assert scene.disk() == {"a/x": b"evil", "a/y": b"evil"}
    assert read_disk(outside) == {"x": b"theirs"}


def test_a_link_first_and_files_below_it_later(scene: Scene, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    first = scene.tree({"a": Link(str(outside)), "b": Link("../outside")})
    second = scene.tree({"a/x": b"evil", "b/c/x": b"evil"})
    scene.checkout(None, first)
    scene.checkout(first, second)
    assert read_disk(outside) == {}
    assert scene.disk() == {"a/x": b"evil", "b/c/x": b"evil"}
    scene.checkout(second, first)
    scene.checkout(first, None)
    assert outside.is_dir()


def test_deleting_below_a_link_deletes_nothing_outside(scene: Scene, tmp_path: Path) -> None:
    tree = scene.tree({"a/x": b"1"})
    scene.checkout(None, tree)
    scene.path("a").rename(tmp_path / "outside")
    scene.path("a").symlink_to(tmp_path / "outside")
    scene.checkout(tree, None, force=True)
    assert read_disk(tmp_path / "outside") == {"x": b"1"}


def test_a_folder_swapped_for_a_link_during_the_checkout(scene: Scene, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    scene.checkout(None, scene.tree({"a/keep": b"1"}))
    old = scene.tree({"a/keep": b"1"})
    new = scene.tree({"a/keep": b"1", "a/x": b"evil"})

    def swap(phase: str, done: int, total: int | None, unit: str) -> None:
        """The plan is made, the first file is written: now somebody acts."""
        if not scene.path("a").is_symlink():
            scene.path("a").rename(tmp_path / "moved")
            scene.path("a").symlink_to(outside)

    first = Link("x")  # links are written first and report progress
    tree = scene.tree({"a/keep": b"1", "a/x": b"evil", "a-link": first})
    with refused("would-overwrite"):
        checkout(scene.repository, None, old, tree, progress=swap)
    assert read_disk(outside) == {}
    assert new != tree


def test_a_file_changed_after_the_check_is_not_lost(scene: Scene) -> None:
    old = scene.tree({"a": b"1", "link": Link("x")})
    new = scene.tree({"a": b"2", "link": Link("y")})
    scene.checkout(None, old)

    def edit(phase: str, done: int, total: int | None, unit: str) -> None:
        scene.path("a").write_bytes(b"just saved")

    with refused("would-overwrite") as refusal:
        checkout(scene.repository, None, old, new, progress=edit)
    assert refusal.error.details["paths"] == ["a"]
    assert scene.path("a").read_bytes() == b"just saved"


@pytest.mark.parametrize("target", [b"", b"a\0b", b"x" * 5000])
def test_links_that_cannot_exist_are_refused_before_anything_is_written(scene: Scene, target: bytes) -> None:
    tree = _raw_tree(scene, ("a", FILE, b"1"), ("link", SYMLINK, target))
    with refused("bad-object"):
        checkout(scene.repository, None, None, tree)
    assert scene.disk() == {}


def test_links_may_point_anywhere_and_are_kept_as_they_are(scene: Scene) -> None:
    files = {"abs": Link("/etc/passwd"), "up": Link("../../x"), "odd": Link(os.fsdecode(b"\xff\n"))}
    tree = scene.tree(files)
    scene.checkout(None, tree)
    assert scene.disk() == files
    assert scene.status().is_clean
    scene.write({"other": b"1"})
    assert scene.commit() == scene.tree({**files, "other": b"1"})


@pytest.mark.parametrize(
    ("folder", "path", "expected"),
    [
        ("", ".", ""),
        ("", "a/../b", "b"),
        ("sub", "x", "sub/x"),
        ("sub", "..", ""),
        ("sub", "../link", "link"),
        ("link", "x", "sub/x"),
        ("sub", "./", "sub"),
    ],
)
def test_paths_as_people_write_them(scene: Scene, folder: str, path: str, expected: str) -> None:
    scene.path("sub").mkdir()
    scene.path("link").symlink_to("sub")
    assert to_tree_path(scene.work_dir, path, scene.work_dir / folder) == expected
    assert to_tree_path(scene.work_dir, scene.work_dir / expected, Path("/")) == expected


@pytest.mark.parametrize("path", ["..", "../x", "/etc/passwd", "../work-not"])
def test_paths_outside_are_unknown(scene: Scene, path: str) -> None:
    with refused("unknown-path"):
        to_tree_path(scene.work_dir, path, scene.work_dir)


def test_a_wrong_size_in_a_tree_keeps_nobody_from_the_files(scene: Scene) -> None:
    with scene.repository.transaction() as transaction:
        blob, link = transaction.put(Kind.BLOB, b"text"), transaction.put(Kind.BLOB, b"a")
        entries = [Entry("a", FILE, blob, 10**15), Entry("b", FILE, blob, 0), Entry("l", SYMLINK, link, 9)]
        tree = build_directory(entries, transaction.put).id
    scene.checkout(None, tree)
    assert scene.disk() == {"a": b"text", "b": b"text", "l": Link("a")}
    scene.checkout(tree, None)
    assert scene.disk() == {}


def test_a_tree_that_never_ends_is_refused_before_anything_is_written(scene: Scene) -> None:
    """Forty directories, each of which names the one below it twice: a million million files."""
    for content in (b"x", None):
        with scene.repository.transaction() as transaction:
            if content is None:
                bottom = build_directory([], transaction.put)
            else:
                blob = transaction.put(Kind.BLOB, content)
                bottom = build_directory([Entry("f", FILE, blob, 1)], transaction.put)
            for _ in range(40):
                twice = [
                    Entry(name, DIRECTORY, bottom.id, bottom.size_bytes, bottom.files) for name in ("a", "b")
                ]
                bottom = build_directory(twice, transaction.put)
        load = scene.repository.objects.load
        with refused("too-large"):
            list(iter_changes(load, None, bottom.id, max_files=1_000, max_directories=1_000))
        if content is not None:
            with refused("too-large"):
                checkout(scene.repository, None, None, bottom.id)
    assert read_disk(scene.work_dir) == {}


def test_directories_deeper_than_any_file_system_are_refused(scene: Scene) -> None:
    tree = _raw_tree(scene, ("f", FILE, b"x"))
    for _ in range(2_000):
        tree = _raw_tree(scene, ("d", DIRECTORY, tree))
    with refused("too-large"):
        checkout(scene.repository, None, None, tree)
    assert read_disk(scene.work_dir) == {}
