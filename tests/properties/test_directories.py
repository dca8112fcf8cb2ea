"""Laws of trees: the same set of files is the same tree, however it came about and whatever its size."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st
from tests.memory_objects import Memory

from muse.history.directory import build_directory, edit_directory, find_entry, iter_entries
from muse.history.edit import edit_tree
from muse.history.lookup import find_path, iter_files
from muse.history.treediff import diff_trees
from muse.objects.ids import Kind
from muse.objects.tree import decode_tree

NAMES = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=8).filter(
    lambda name: name not in {".", ".."} and name.casefold() != ".muse"
)
PATHS = st.lists(st.sampled_from(["a", "b", "c", "d", "é"]), min_size=1, max_size=3).map("/".join)


@given(st.lists(st.dictionaries(PATHS, st.none() | st.binary(max_size=3), max_size=6), max_size=6))
def test_any_sequence_of_edits_gives_the_tree_of_its_result(edits: list[dict[str, bytes | None]]) -> None:
    memory = Memory()
    root = None
    model: dict[str, bytes] = {}
    for edit in edits:
        # A path may not be a file and a directory in one edit; the later model decides like a file system.
        edit = {path: data for path, data in edit.items() if not any(o.startswith(path + "/") for o in edit)}
        for path, data in edit.items():
            below = [old for old in model if old == path or old.startswith(path + "/")]
            if data is None:
                for old in below:
                    del model[old]
                continue
            above = [old for old in model if path.startswith(old + "/")]
            for old in (*below, *above):
                del model[old]
            model[path] = data
        changes = {path: None if data is None else memory.file("x", data) for path, data in edit.items()}
        root = edit_tree(memory.load, root, changes, memory.put).id
    fresh = edit_tree(
        memory.load, None, {path: memory.file("x", data) for path, data in model.items()}, memory.put
    )
    assert root is None or root == fresh.id
    if root is not None:
        files = {path: memory.load(Kind.BLOB, entry.id) for path, entry in iter_files(memory.load, root)}
        assert files == model
        assert fresh.files == len(model)
        assert fresh.size_bytes == sum(map(len, model.values()))


@given(st.integers(0, 2**32), st.integers(200, 1500), st.integers(1, 60))
def test_an_edited_large_directory_equals_one_built_from_nothing(seed: int, size: int, edits: int) -> None:
    rng = random.Random(seed)
    memory = Memory()
    blob = memory.file("x", b"content")
    names = {f"{rng.randrange(10**6)}.txt" for _ in range(size)}
    directory = build_directory([blob._replace(name=name) for name in sorted(names)], memory.put)
    for _ in range(3):
        gone = set(rng.sample(sorted(names), min(edits * rng.choice([1, 1, 10]), len(names))))
        new = {f"{rng.randrange(10**6)}.md" for _ in range(rng.randrange(edits))}
        changes = {**dict.fromkeys(gone), **dict.fromkeys(new, blob)}
        directory = edit_directory(memory.load, directory.id, changes, memory.put)
        names = names - gone | new
        rebuilt = build_directory([blob._replace(name=name) for name in sorted(names)], memory.put)
        assert directory == rebuilt
        assert [entry.name for entry in iter_entries(memory.load, directory.id)] == sorted(names)


@given(st.lists(NAMES, unique=True, max_size=20))
def test_every_allowed_name_survives(names: list[str]) -> None:
    memory = Memory()
    entries = [memory.file(name, name.encode()) for name in sorted(names)]
    directory = build_directory(entries, memory.put)
    assert list(iter_entries(memory.load, directory.id)) == entries
    assert all(find_entry(memory.load, directory.id, entry.name) == entry for entry in entries)


@given(
    st.dictionaries(PATHS, st.binary(max_size=2), max_size=8),
    st.dictionaries(PATHS, st.binary(max_size=2), max_size=8),
)
def test_a_diff_applied_to_the_old_tree_gives_the_new_one(
    old: dict[str, bytes], new: dict[str, bytes]
) -> None:
    memory = Memory()

    def build(files: dict[str, bytes]) -> bytes:
        root = None
        for path in sorted(files):
            root = edit_tree(memory.load, root, {path: memory.file("x", files[path])}, memory.put).id
        return root or build_directory([], memory.put).id

    before, after = build(old), build(new)
    changes = list(diff_trees(memory.load, before, after))
    assert len({change.path for change in changes}) == len(changes)
    deletions = {change.path: None for change in changes if change.new is None}
    additions = {change.path: change.new for change in changes if change.new is not None}
    middle = edit_tree(memory.load, before, deletions, memory.put).id
    assert edit_tree(memory.load, middle, additions, memory.put).id == after


def test_ten_edits_among_a_hundred_thousand_files_write_pages_not_the_directory() -> None:
    memory = Memory()
    blob = memory.file("x", b"content")
    names = [f"file-{number:06}.dat" for number in range(100_000)]
    directory = build_directory([blob._replace(name=name) for name in names], memory.put)
    assert directory.entries == directory.files == 100_000
    new = memory.file("x", b"new content")
    memory.loads = memory.written_bytes = 0
    changed = edit_directory(memory.load, directory.id, dict.fromkeys(names[5::10000], new), memory.put)
    # Ten leaves, the index nodes above them and the root: about 15 of 800 nodes, each about 7 KB.
    assert memory.written_bytes < 200_000
    assert memory.loads < 40
    memory.loads = 0
    assert len(list(diff_trees(memory.load, directory.id, changed.id))) == 10
    assert memory.loads < 60
    assert find_path(memory.load, changed.id, names[5]) == new._replace(name=names[5])
    assert decode_tree(memory.load(Kind.TREE, changed.id)).level == 2
