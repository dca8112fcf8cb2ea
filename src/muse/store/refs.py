"""Refs: names that point at commits and tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from muse.errors import NotFound, UsageError
from muse.objects.ids import Key, Kind
from muse.wire import refnames

if TYPE_CHECKING:
    from muse.store.database import Database

SYMBOLIC = 0
"""Stands for a kind where HEAD names a branch instead of a commit."""

REMOTES = "remotes/"
_NAMES_AT_ONCE = 900
"""Older builds of SQLite allow 999 parameters."""
_COLUMNS = 'name, target, kind, "commit"'


class Ref(NamedTuple):
    """`name` as in `heads/main`; `kind` says what the target is: a commit, a tag or, from Git, anything.

    `commit` is the target, or what the annotated tag leads to; None if that is no commit.
    """

    name: str
    target: bytes
    kind: Kind
    commit: bytes | None


class Head(NamedTuple):
    """What is checked out; `branch` is None when HEAD is detached, `target` when there is no commit yet."""

    branch: str | None
    target: bytes | None

    @property
    def ref(self) -> str | None:
        """The full name of the branch, `heads/main`."""
        return None if self.branch is None else f"heads/{self.branch}"


def check_ref_name(name: str) -> None:
    """Raise `bad-name` unless `name` is a branch or tag, or one of a remote: `remotes/origin/heads/main`."""
    rest = name
    if name.startswith(REMOTES):
        remote, _, rest = name[len(REMOTES) :].partition("/")
        check_remote_name(remote)
    refnames.check_ref_name(rest)


def check_remote_name(name: str) -> None:
    """Raise `bad-name` unless `name` can be the name of a remote: letters, digits, `.`, `_` and `-`."""
    plain = name.replace(".", "").replace("_", "").replace("-", "")
    if not plain.isalnum() or not name.isascii() or name.startswith((".", "-")) or len(name) > 100:
        raise UsageError(
            "bad-name",
            f"{name[:300]!r} may not be the name of a remote",
            hint="use letters, digits, dashes, dots and underscores",
        )


class Refs:
    """Reads refs as they are in the database; changes go through a transaction and show when it has ended."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, name: str) -> Ref | None:
        row = self._database.find_row(f"SELECT {_COLUMNS} FROM refs WHERE name = ?", (name,))
        return None if row is None else Ref(row[0], row[1], Kind(row[2]), row[3])

    def find_many(self, names: Sequence[str]) -> dict[str, Ref]:
        """Return those of `names` that exist, by name: a query for every `_NAMES_AT_ONCE`."""
        found: dict[str, Ref] = {}
        for start in range(0, len(names), _NAMES_AT_ONCE):
            some = names[start : start + _NAMES_AT_ONCE]
            marks = ", ".join("?" * len(some))
            rows = self._database.load_rows(f"SELECT {_COLUMNS} FROM refs WHERE name IN ({marks})", some)
            found.update((row[0], Ref(row[0], row[1], Kind(row[2]), row[3])) for row in rows)
        return found

    def iter(self, prefix: str = "") -> Iterator[Ref]:
        """Yield the refs whose names begin with `prefix`, sorted by name."""
        where, bounds = _begins_with(prefix)
        rows = self._database.load_rows(f"SELECT {_COLUMNS} FROM refs WHERE {where} ORDER BY name", bounds)
        for name, target, kind, commit in rows:
            yield Ref(name, target, Kind(kind), commit)

    def has_any(self, prefix: str) -> bool:
        where, bounds = _begins_with(prefix)
        return self._database.find_row(f"SELECT 1 FROM refs WHERE {where} LIMIT 1", bounds) is not None

    def load_targets(self, prefix: str) -> list[Key]:
        """Return what the refs whose names begin with `prefix` point at, each once."""
        where, bounds = _begins_with(prefix)
        rows = self._database.load_rows(f"SELECT DISTINCT kind, target FROM refs WHERE {where}", bounds)
        return [(Kind(kind), target) for kind, target in rows]

    def head(self) -> Head:
        row = self._database.find_row(
            "SELECT head.ref, coalesce(refs.target, head.target) FROM head"
            " LEFT JOIN refs ON refs.name = head.ref"
        )
        ref, target = row if row is not None else ("heads/main", None)
        return Head(None if ref is None else ref.removeprefix("heads/"), target)

    def get_branch(self, branch: str) -> Ref:
        """Return `heads/<branch>`; raises `unknown-branch`."""
        ref = self.get(f"heads/{branch}")
        if ref is None:
            raise NotFound(
                "unknown-branch", f'there is no branch "{branch}"', hint="`muse branch` lists them"
            )
        return ref


def _begins_with(prefix: str) -> tuple[str, tuple[str, ...]]:
    """As a range of the primary key: what follows all names that begin so is the prefix with its last letter
    one up.
    """
    if not prefix:
        return "1", ()
    return "name >= ? AND name < ?", (prefix, prefix[:-1] + chr(ord(prefix[-1]) + 1))
