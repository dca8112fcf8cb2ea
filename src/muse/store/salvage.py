"""Takes over what can still be read of a damaged database: refs, operation log, settings and the rest."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from muse.objects.ids import Kind, format_id, split_ids
from muse.store.database import FORMAT_VERSION, Database, newer_format
from muse.store.fsck import Problem
from muse.store.objects import ObjectStore

MAX_RECOVERED_REFS = 100

_COPIED = {
    "operations": 4,
    "operation_changes": 6,
    "settings": 2,
    "git_map": 5,
    "remote_state": 3,
}


def salvage(
    path: Path, database: Database, objects: ObjectStore, report: Callable[[Problem], None]
) -> tuple[int, list[str]]:
    """Copy the rows of the database at `path` into the new one, which knows all objects and commits.

    Returns how many refs were copied, and the names of those that were made up: when not all refs can be
    read, commits without children and ref get one. Raises `unsupported-store`.
    """
    return _Salvage(database, objects, report).run(path)


class _Salvage:
    """Copies in one transaction; a row that leads to an object that is gone is left out and reported."""

    def __init__(self, database: Database, objects: ObjectStore, report: Callable[[Problem], None]) -> None:
        self._database = database
        self._objects = objects
        self._report = report

    def run(self, path: Path) -> tuple[int, list[str]]:
        old = self._open_old(path)
        database = self._database
        database.begin()
        refs = 0
        unread: set[str] = set()
        for name, target, kind, commit in _iter_table(old, "refs", 4, unread):
            if self._objects.find_location(kind, target) is None:
                self._report(
                    Problem("missing-object", f"ref {name}", f"{format_id(target)} is not in any segment")
                )
                continue
            database.execute("INSERT OR IGNORE INTO refs VALUES (?, ?, ?, ?)", (name, target, kind, commit))
            refs += 1
        for table, columns in _COPIED.items():
            marks = ", ".join("?" * columns)
            for row in _iter_table(old, table, columns, unread):
                database.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", row)
        head = next(_iter_table(old, "head", 3, unread), None)
        if head is not None and head[2] is not None and not self._objects.has(Kind.COMMIT, head[2]):
            head = None
        if old is not None:
            old.close()
        for table in sorted(unread):
            self._report(Problem("corrupt-database", f"table {table}", "not all of its rows could be read"))
        recovered = self._name_tips() if "refs" in unread else []
        if head is None:
            branch = database.find_row("SELECT name FROM refs WHERE name LIKE 'heads/%' ORDER BY name") or (
                "heads/main",
            )
            head = (1, branch[0], None)
        database.execute("INSERT INTO head VALUES (?, ?, ?)", head)
        database.commit()
        return refs, recovered

    def _name_tips(self) -> list[str]:
        tips = dict(
            self._database.load_rows("SELECT id, time_s FROM commits ORDER BY time_s DESC, generation DESC")
        )
        for (parents,) in self._database.load_rows("SELECT parents FROM commits"):
            for parent in split_ids(parents):
                tips.pop(parent, None)
        for (target,) in self._database.load_rows('SELECT "commit" FROM refs'):
            tips.pop(target, None)
        names = []
        for number, commit_id in enumerate(list(tips)[:MAX_RECOVERED_REFS], 1):
            name = f"heads/recovered-{number}"
            self._database.execute(
                "INSERT INTO refs VALUES (?, ?, ?, ?)", (name, commit_id, int(Kind.COMMIT), commit_id)
            )
            names.append(name)
        return names

    def _open_old(self, path: Path) -> sqlite3.Connection | None:
        if not path.exists():
            self._report(Problem("corrupt-database", str(path), "it is not there"))
            return None
        connection = sqlite3.connect(path, isolation_level=None)
        connection.text_factory = lambda data: data.decode("utf-8", "replace")
        try:
            version = connection.execute("PRAGMA user_version").fetchone()[0]
        except sqlite3.Error:
            version = 0
        if version > FORMAT_VERSION:
            connection.close()
            raise newer_format(version)
        return connection


def _iter_table(
    connection: sqlite3.Connection | None, table: str, columns: int, unread: set[str]
) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table of the old database; if not all can be read, its name goes to `unread`."""
    if connection is None:
        unread.add(table)
        return
    try:
        for row in connection.execute(f"SELECT * FROM {table}"):
            if len(row) == columns:
                yield row
    except sqlite3.Error:
        unread.add(table)
