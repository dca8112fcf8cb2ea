"""Laws of the work tree: edits and snapshots, checkouts, and what status says in between."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.muse.worktree.scene import Content, Link, Scene, Script

from muse.errors import MuseError
from muse.objects.ids import Kind
from muse.store.fsck import fsck

NAMES = st.sampled_from(["a", "b", "A", "\u00e9 x"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
CONTENTS: st.SearchStrategy[Content] = st.one_of(
    st.binary(max_size=6), st.binary(max_size=6).map(Script), st.sampled_from(["a", "../b", "/c"]).map(Link)
)


def _without_conflicts(files: dict[str, Content]) -> dict[str, Content]:
    """A name cannot be a file and a folder at once: the shorter path stays."""
    kept: dict[str, Content] = {}
    for path in sorted(files):
        parts = path.split("/")
        if not any("/".join(parts[:depth]) in kept for depth in range(1, len(parts))):
            kept[path] = files[path]
    return kept


FILES = st.dictionaries(PATHS, CONTENTS, max_size=12).map(_without_conflicts)
NUMBERS = st.integers(0, 99)
"""Chooses one of the files and folders that are there."""
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), PATHS, CONTENTS),
        st.tuples(st.just("write-now"), PATHS, CONTENTS),
        st.tuples(st.just("rewrite"), NUMBERS, CONTENTS),
        st.tuples(st.just("delete"), NUMBERS, st.none()),
        st.tuples(st.just("touch"), NUMBERS, st.none()),
        st.tuples(st.just("move"), NUMBERS, PATHS),
        st.tuples(st.just("snapshot"), st.none(), st.none()),
        st.tuples(st.just("status"), st.none(), st.none()),
    ),
    max_size=30,
)


def _make_room(scene: Scene, path: str) -> None:
    """Remove what keeps `path` from being written."""
    parts = path.split("/")
    for depth in range(1, len(parts)):
        place = scene.path("/".join(parts[:depth]))
        if place.is_symlink() or place.is_file():
            place.unlink()
    place = scene.path(path)
    if place.is_dir() and not place.is_symlink():
        shutil.rmtree(place)


def _do(scene: Scene, action: str, what: object, other: object) -> None:
    if action in ("write", "write-now"):
        path = str(what)
    else:
        there = _everything(scene)
        if not there:
            return
        assert isinstance(what, int)
        path = there[what % len(there)]
    place = scene.path(path)
    if action in ("write", "write-now", "rewrite"):
        assert isinstance(other, (bytes, Link))
        _make_room(scene, path)
        scene.write({path: other}, fresh=action != "write")
    elif action == "delete":
        shutil.rmtree(place) if place.is_dir() and not place.is_symlink() else place.unlink()
    elif action == "touch" and not place.is_symlink():
        place.touch()
    elif action == "move":
        target = str(other)
        if not f"{target}/".startswith(f"{path}/") and not path.startswith(f"{target}/"):
            _make_room(scene, target)
            scene.path(target).parent.mkdir(parents=True, exist_ok=True)
            scene.path(target).unlink(missing_ok=True)
            place.rename(scene.path(target))


def _everything(scene: Scene) -> list[str]:
    """Files, links and folders, as paths."""
    found = (place.relative_to(scene.work_dir).as_posix() for place in scene.work_dir.rglob("*"))
    return sorted(path for path in found if not path.startswith(".muse"))


def _scene() -> tuple[tempfile.TemporaryDirectory[str], Scene]:
    folder = tempfile.TemporaryDirectory()
    return folder, Scene(Path(folder.name, "work"))


@given(STEPS)
def test_any_edits_and_snapshots_give_the_tree_built_from_nothing(
    steps: list[tuple[str, object, object]],
) -> None:
    folder, scene = _scene()
    with folder:
        for action, what, other in [*steps, ("snapshot", None, None)]:
            if action == "snapshot":
                assert scene.commit() == scene.tree(scene.disk())
                assert scene.status().is_clean
            elif action == "status":
                head = scene.repository.refs.head().target
                tree = scene.tree({}) if head is None else scene.repository.graph(head).tree
                assert scene.status().is_clean == (tree == scene.tree(scene.disk()))
            else:
                _do(scene, action, what, other)
        assert list(fsck(scene.repository)) == []
        scene.repository.close()


@given(FILES, FILES, FILES)
def test_a_checkout_of_any_tree_to_any_other_reproduces_it(
    first: dict[str, Content], second: dict[str, Content], third: dict[str, Content]
) -> None:
    folder, scene = _scene()
    with folder:
        old: bytes | None = None
        for files in (first, second, third, first):
            new = scene.tree(files)
            scene.checkout(old, new)
            assert scene.disk() == files
            assert scene.status().is_clean
            old = new
        scene.repository.close()


@settings(max_examples=20)
@given(FILES, FILES, st.dictionaries(PATHS, CONTENTS, max_size=4).map(_without_conflicts))
def test_a_checkout_loses_no_work(
    first: dict[str, Content], second: dict[str, Content], work: dict[str, Content]
) -> None:
    """Whatever is edited or new stays, or the checkout refuses and touches nothing."""
    folder, scene = _scene()
    with folder:
        old, new = scene.tree(first), scene.tree(second)
        scene.checkout(None, old)
        for path, content in work.items():
            _make_room(scene, path)
            scene.write({path: content})
        before = scene.disk()
        mine = {path for path, content in before.items() if first.get(path) != content}
        refusal = None
        try:
            scene.checkout(old, new)
        except MuseError as error:
            refusal = error.code
        after = scene.disk()
        if refusal is None:
            assert {path: before[path] for path in mine} == {path: after.get(path) for path in mine}
            wanted = {path: content for path, content in second.items() if first.get(path) != content}
            assert wanted == {path: after.get(path) for path in wanted}
        else:
            assert (refusal, after) == ("would-overwrite", before)
        scene.repository.close()


def test_kinds_are_told_apart() -> None:
    folder, scene = _scene()
    with folder:
        tree = scene.tree({"a": b"x", "b": Script(b"x"), "c": Link("x")})
        assert scene.files(tree) == {"a": "f", "b": "x", "c": "l"}
        assert scene.repository.objects.has(Kind.TREE, tree)
        scene.repository.close()
