"""Changes of refs within a transaction: checked and written at its end, all or none."""

from __future__ import annotations

from types import EllipsisType
from typing import NamedTuple

from muse.errors import Conflict, NotFound
from muse.objects.commit import decode_tag
from muse.objects.ids import ID_BYTES, Kind, format_id
from muse.store.database import Database
from muse.store.objects import ObjectStore
from muse.store.refs import REMOTES, SYMBOLIC

HEAD = "HEAD"

RefValue = tuple[bytes | None, int]
"""Target, None where there is no ref, and kind; HEAD on a branch is the branch's full name and `SYMBOLIC`."""


class RefChange(NamedTuple):
    """A ref, or HEAD, that really moved."""

    name: str
    old: RefValue
    new: RefValue


class RefChanges:
    """New values of refs and of `HEAD`; the last one set counts, the first one expected is checked."""

    def __init__(self, database: Database, objects: ObjectStore) -> None:
        self._database = database
        self._objects = objects
        self._wanted: dict[str, tuple[RefValue, RefValue | EllipsisType]] = {}

    def __bool__(self) -> bool:
        return bool(self._wanted)

    def set(self, name: str, value: RefValue, expected: RefValue | EllipsisType = ...) -> None:
        if name in self._wanted:
            expected = self._wanted[name][1]
        self._wanted[name] = (value, expected)

    def write(self) -> list[RefChange]:
        """Check and write all of them inside the open database transaction; returns what really changed.

        Raises `stale-head`, `unknown-object`, `already-exists`.
        """
        changes = []
        # Deletions first, so that `a` can make way for `a/b`.
        for name, (value, expected) in sorted(
            self._wanted.items(), key=lambda item: item[1][0][0] is not None
        ):
            old = self._load_head() if name == HEAD else self._load_ref(name)
            _check_unmoved(name, old, expected)
            if value == old or (value[0] is None and old[0] is None):
                continue
            if name == HEAD:
                self._write_head(value)
            else:
                self._write_ref(name, old, value)
            changes.append(RefChange(name, old, value))
        return changes

    def _load_ref(self, name: str) -> RefValue:
        row = self._database.find_row("SELECT target, kind FROM refs WHERE name = ?", (name,))
        return (None, int(Kind.COMMIT)) if row is None else (row[0], row[1])

    def _load_head(self) -> RefValue:
        ref, target = self._database.find_row("SELECT ref, target FROM head") or ("heads/main", None)
        return (target, int(Kind.COMMIT)) if ref is None else (ref.encode(), SYMBOLIC)

    def _write_ref(self, name: str, old: RefValue, value: RefValue) -> None:
        target, kind = value
        if target is None:
            self._database.execute("DELETE FROM refs WHERE name = ?", (name,))
            return
        self._check_present(name, target, kind)
        if old[0] is None:
            self._check_free(name)
        self._database.execute(
            "INSERT OR REPLACE INTO refs VALUES (?, ?, ?, ?)",
            (name, target, kind, self._commit_behind(target, kind)),
        )

    def _write_head(self, value: RefValue) -> None:
        target, kind = value
        assert target is not None
        if kind == SYMBOLIC:
            self._database.execute("INSERT OR REPLACE INTO head VALUES (1, ?, NULL)", (target.decode(),))
        else:
            self._check_present(HEAD, target, kind)
            self._database.execute("INSERT OR REPLACE INTO head VALUES (1, NULL, ?)", (target,))

    def _check_present(self, name: str, target: bytes, kind: int) -> None:
        if len(target) != ID_BYTES or self._objects.find_location(kind, target) is None:
            raise NotFound(
                "unknown-object",
                f'"{name}" cannot point at {format_id(target)}: it is not in this repository',
            )

    def _check_free(self, name: str) -> None:
        """Refuse `a/b` beside `a`, which Git could not hold; remotes may have what they like."""
        if name.startswith(REMOTES):
            return
        parts = name.split("/")
        above = ["/".join(parts[:count]) for count in range(2, len(parts))]
        row = self._database.find_row(
            f"SELECT name FROM refs WHERE name IN ({', '.join('?' * len(above))}) OR (name > ? AND name < ?)",
            (*above, f"{name}/", f"{name}0"),  # 0 follows / in ASCII
        )
        if row is not None:
            raise Conflict(
                "already-exists", f'"{name}" cannot be beside "{row[0]}"', hint="delete or rename one of them"
            )

    def _commit_behind(self, target: bytes, kind: int) -> bytes | None:
        """Follow annotated tags; None where they lead to something else than a commit."""
        while kind == Kind.TAG:
            tag = decode_tag(self._objects.load(Kind.TAG, target))
            target, kind = tag.target, tag.target_kind
        return target if kind == Kind.COMMIT else None


def record_operation(
    database: Database, time_s: float, command: str, undoes: int | None, changes: list[RefChange]
) -> int:
    """Add a row to the operation log; returns its id."""
    cursor = database.execute(
        "INSERT INTO operations (time_s, command, undoes) VALUES (?, ?, ?)", (time_s, command, undoes)
    )
    operation_id = cursor.lastrowid
    assert operation_id is not None
    database.execute_many(
        "INSERT INTO operation_changes VALUES (?, ?, ?, ?, ?, ?)",
        ((operation_id, name, *old, *new) for name, old, new in changes),
    )
    return operation_id


def _check_unmoved(name: str, old: RefValue, expected: RefValue | EllipsisType) -> None:
    if isinstance(expected, EllipsisType):
        return
    if old[0] != expected[0]:
        now = "is gone" if old[0] is None else f"is at {_show(old)}"
        raise Conflict(
            "stale-head",
            f'"{name}" has moved: it {now}',
            hint="look at what changed and run the command again",
            retry=True,
            details={
                "ref": name,
                "expected": None if expected[0] is None else _show(expected),
                "actual": None if old[0] is None else _show(old),
            },
        )


def _show(value: RefValue) -> str:
    assert value[0] is not None
    return value[0].decode() if value[1] == SYMBOLIC else format_id(value[0])
