"""Repositories written by earlier versions stay readable and writable; golden ones are only ever added."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.muse.store.scenes import commit

from muse.history.lookup import iter_files
from muse.objects.ids import Kind, hash_bytes
from muse.store.fsck import fsck
from muse.store.rebuild import rebuild
from muse.store.repository import Repository

LINES = b"".join(b"%d lines\n" % number for number in range(100))
FIRST = bytes.fromhex("75a034eb0b07e4c32be2181a38259e57a0a195930bd86b7af8c3387f3897634e")
SECOND = bytes.fromhex("00e4df2b61d0ee372df0d8acc7bc392a4ae14fd62d071461b43e83fb1e185f03")


@pytest.fixture(params=["format-1"])
def golden(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The work tree of a copy of a golden repository."""
    shutil.copytree(Path(__file__).parent / "golden" / request.param, tmp_path / ".muse")
    (tmp_path / ".muse" / "tmp").mkdir()
    return tmp_path


def _check(repository: Repository) -> None:
    assert list(fsck(repository)) == []
    assert repository.refs.head() == ("main", SECOND)
    assert [(ref.name, ref.commit) for ref in repository.refs.iter()] == [
        ("heads/main", SECOND),
        ("remotes/origin/heads/main", FIRST),
        ("tags/v1", FIRST),
    ]
    node = repository.graph(SECOND)
    assert (node.parents, node.generation) == ((FIRST,), 2)
    files = {
        path: b"".join(repository.objects.open_file(entry.kind, entry.id))
        for path, entry in iter_files(repository.objects.load, node.tree)
    }
    assert files == {"text": LINES + b"more\n", "dir/empty": b""}
    assert repository.objects.load_record(Kind.BLOB, hash_bytes(LINES + b"more\n")).base == hash_bytes(LINES)
    assert [(operation.command, operation.undoes) for operation in repository.operations.iter()] == [
        ("undo", 3),
        ("switch --detach v1", None),
        ("commit second", None),
        ("commit first", None),
    ]
    assert repository.settings.get("user.name") == "Ada"
    assert repository.remotes.get_open_push("origin") == "push-1"
    assert repository.git_map.find_many([b"g" * 20, b"f" * 20]) == {
        b"g" * 20: (Kind.COMMIT, SECOND, 0, 0),
        b"f" * 20: ("x", hash_bytes(LINES + b"more\n"), len(LINES) + 5, 1),
    }


def test_a_golden_repository_is_read(golden: Path) -> None:
    with Repository.open(golden) as repository:
        _check(repository)
        assert repository.stat_cache.load_all() == {"dir": b"rows"}


def test_a_golden_repository_is_rebuilt(golden: Path) -> None:
    assert rebuild(golden).problems == []
    with Repository.open(golden) as repository:
        _check(repository)


def test_a_golden_repository_is_continued(golden: Path) -> None:
    with Repository.open(golden) as repository:
        commit(repository, {"new": b"file"}, "third")
        assert list(fsck(repository)) == []
        assert [path.name for path in (golden / ".muse" / "segments").iterdir()] == ["00000001.seg"]
