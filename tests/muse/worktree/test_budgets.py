"""Objects that status and commit read: as many in a large work tree as in a small one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import pytest
from tests.muse.worktree.scene import Scene

from muse.objects.ids import Kind
from muse.store.objects import ObjectStore
from muse.store.repository import Repository


class CountingStore(ObjectStore):
    """Notes every object that somebody asks for; asked for again, it comes from memory."""

    loaded: set[tuple[Kind, bytes]]

    def load(self, kind: Kind, object_id: bytes) -> bytes:
        self.loaded.add((kind, object_id))
        return super().load(kind, object_id)

    def load_many(self, kind: Kind, ids: Iterable[bytes]) -> Iterator[tuple[bytes, bytes]]:
        for pair in super().load_many(kind, ids):
            self.loaded.add((kind, pair[0]))
            yield pair


def note_loads(scene: Scene) -> set[tuple[Kind, bytes]]:
    """Open the repository again, as the next command does; returns the set that grows with every object."""
    scene.repository.close()
    scene.repository = Repository.open(scene.work_dir)
    store = CountingStore(scene.repository.database, scene.repository.segments_dir)
    store.loaded = set()
    scene.repository.objects = store
    scene.repository.graph = store.get_node
    return store.loaded


def count_kinds(loaded: set[tuple[Kind, bytes]]) -> Counter[Kind]:
    return Counter(kind for kind, _ in loaded)


@pytest.mark.parametrize("folders", [3, 30])
def test_what_one_changed_file_reads_does_not_grow_with_the_tree(scene: Scene, folders: int) -> None:
    scene.write({f"d{n % folders}/e{n % 4}/f{n}": b"%d" % n for n in range(folders * 12)})
    scene.commit()
    assert scene.status().is_clean

    loaded = note_loads(scene)
    assert scene.status().is_clean
    assert loaded == set()

    scene.write({"d1/e1/f1": b"changed"})
    loaded = note_loads(scene)
    assert [change.path for change in scene.status().modified] == ["d1/e1/f1"]
    assert count_kinds(loaded) <= Counter({Kind.TREE: 3})  # the directories above it

    loaded = note_loads(scene)
    scene.commit()
    # Besides, the blob that the new one is stored as a difference to.
    assert count_kinds(loaded) <= Counter({Kind.TREE: 3, Kind.BLOB: 1})


def test_a_new_file_reads_the_directories_above_it_and_no_file(scene: Scene) -> None:
    scene.write({f"d{n}/f{m}": b"%d" % n for n in range(10) for m in range(5)})
    scene.commit()
    scene.write({"d3/new": b"new"})
    loaded = note_loads(scene)
    scene.commit()
    assert count_kinds(loaded) <= Counter({Kind.TREE: 2})
