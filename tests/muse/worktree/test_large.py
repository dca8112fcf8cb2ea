"""Large files are read some chunks ahead, by other threads, and every chunk is hashed."""

from __future__ import annotations

import random
import threading

import pytest
from tests.muse.worktree.scene import Scene, refused

from muse.history.lookup import find_path
from muse.objects.chunks import iter_chunks
from muse.objects.ids import Kind
from muse.store.repository import Repository
from muse.worktree.large import iter_large


@pytest.fixture(scope="module")
def data() -> bytes:
    return random.Random(5).randbytes(9 << 20)


@pytest.fixture
def tree(scene: Scene, data: bytes) -> bytes:
    """A tree with the large file `big`, which is not in the work tree."""
    scene.write({"big": data})
    tree = scene.commit()
    scene.checkout(tree, None)
    return tree


def _chunk_list(repository: Repository, tree: bytes) -> bytes:
    entry = find_path(repository.objects.load, tree, "big")
    assert entry is not None
    return entry.id


def test_a_large_file_is_written_as_it_was(scene: Scene, data: bytes, tree: bytes) -> None:
    scene.checkout(None, tree)
    assert scene.disk() == {"big": data}
    assert scene.status().is_clean


def test_reading_can_be_left(scene: Scene, data: bytes, tree: bytes) -> None:
    before = threading.active_count()
    root = _chunk_list(scene.repository, tree)
    pieces = iter_large(scene.repository.objects, scene.repository.segments_dir, root)
    assert data.startswith(next(pieces))
    pieces.close()
    assert threading.active_count() == before


def test_a_damaged_chunk_is_found_and_leaves_no_file(scene: Scene, tree: bytes) -> None:
    objects = scene.repository.objects
    chunk = list(iter_chunks(_chunk_list(scene.repository, tree), objects.load))[-3]
    [place] = objects.find_places(Kind.BLOB, [chunk.id])
    scene.repository.close()
    segment = scene.work_dir / ".muse" / "segments" / f"{place.segment:08}.seg"
    stored = bytearray(segment.read_bytes())
    stored[place.end - 3] ^= 1
    segment.write_bytes(stored)
    scene.repository = Repository.open(scene.work_dir)
    with refused("corrupt-object"):
        scene.checkout(None, tree)
    assert scene.disk() == {}
    scene.repository.close()
