"""Making, opening and finding repositories."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from tests.muse.store.scenes import commit

from muse.errors import Conflict, CorruptStore, InternalError, NotFound, UsageError
from muse.objects.ids import Kind
from muse.store.repository import Repository


def test_a_new_repository_is_on_a_branch_without_commits(tmp_path: Path) -> None:
    with Repository.init(tmp_path / "work", "trunk") as repository:
        assert repository.refs.head() == ("trunk", None)
        assert repository.refs.head().ref == "heads/trunk"
        assert list(repository.refs.iter()) == []
        assert list(repository.operations.iter()) == []


def test_init_refuses_a_second_repository_in_the_same_folder(repository: Repository) -> None:
    with pytest.raises(Conflict) as caught:
        Repository.init(repository.work_dir)
    assert caught.value.code == "already-exists"


def test_init_leaves_nothing_behind_when_the_branch_name_is_bad(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        Repository.init(tmp_path / "work", "a..b")
    assert not (tmp_path / "work").exists()


def test_find_searches_the_parents(repository: Repository) -> None:
    deep = repository.work_dir / "a" / "b"
    deep.mkdir(parents=True)
    with Repository.find(deep) as found:
        assert found.work_dir == repository.work_dir


def test_open_looks_nowhere_else(repository: Repository) -> None:
    (repository.work_dir / "a").mkdir()
    with pytest.raises(NotFound) as caught:
        Repository.open(repository.work_dir / "a")
    assert caught.value.code == "not-a-repository"


def test_outside_of_any_repository(tmp_path: Path) -> None:
    with pytest.raises(NotFound) as caught:
        Repository.find(tmp_path)
    assert caught.value.code == "not-a-repository"


def test_what_was_written_is_there_when_opened_again(repository: Repository) -> None:
    head = commit(repository, {"a": b"one"})
    repository.close()
    with Repository.open(repository.work_dir) as again:
        assert again.refs.head() == ("main", head)
        assert again.graph(head).parents == ()


def test_a_store_of_a_newer_format_is_refused(repository: Repository) -> None:
    repository.close()
    with sqlite3.connect(repository.muse_dir / "muse.db") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(CorruptStore) as caught:
        Repository.open(repository.work_dir)
    assert caught.value.code == "unsupported-store"


@pytest.mark.parametrize("content", [None, b"", b"no database at all, but long enough for a header" * 50])
def test_a_missing_or_foreign_database_is_named_as_damage(
    repository: Repository, content: bytes | None
) -> None:
    repository.close()
    path = repository.muse_dir / "muse.db"
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CorruptStore) as caught:
        Repository.open(repository.work_dir)
    assert caught.value.code == "corrupt-database"
    assert "rebuild" in (caught.value.hint or "")


def test_a_transaction_inside_a_transaction_is_a_defect(repository: Repository) -> None:
    with repository.transaction(), pytest.raises(InternalError), repository.transaction():
        pass
    with repository.transaction() as transaction:
        transaction.put(Kind.BLOB, b"still works")


def test_a_reading_command_imports_little() -> None:
    """What costs time at start-up stays out of the way; measured as modules, not as seconds."""
    code = (
        "import sys, muse.store.repository\n"
        "heavy = {'dataclasses', 'inspect', 'shutil', 'json', 'difflib', 'tempfile', 'pyfastcdc'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
