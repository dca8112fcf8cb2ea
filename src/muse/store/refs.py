"""Refs: names that point at commits and tags."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

from muse.errors import NotFound, UsageError
from muse.objects.ids import Kind

if TYPE_CHECKING:
    from muse.store.database import Database
    from muse.store.repository import Repository

SYMBOLIC = 0
"""Stands for a kind where HEAD names a branch instead of a commit."""

_NAMESPACES = ("heads/", "tags/", "remotes/")
_FORBIDDEN = frozenset(" ~^:?*[\\\x7f")
MAX_NAME_BYTES = 1024


class Ref(NamedTuple):
    """`name` as in `heads/main`; `kind` says whether the target is a commit or an annotated tag (or, from Git, anything)."""

    name: str
    target: bytes
    kind: Kind


class Head(NamedTuple):
    """What is checked out: `branch` is None when HEAD is detached, `target` when the branch has no commit yet."""

    branch: str | None
    target: bytes | None

    @property
    def ref(self) -> str | None:
        """The full name of the branch, `heads/main`."""
        return None if self.branch is None else f"heads/{self.branch}"


def check_ref_name(name: str) -> None:
    """Raise `bad-name` unless `name` is `heads/…`, `tags/…` or `remotes/…` and Git would take the rest."""
    reason = _reason(name)
    if reason is not None:
        raise UsageError("bad-name", f"{name!r} may not be the name of a ref: {reason}")


def _reason(name: str) -> str | None:
    if not name.startswith(_NAMESPACES):
        return "it begins with none of heads/, tags/ and remotes/"
    try:
        if len(name.encode()) > MAX_NAME_BYTES:
            return f"it is longer than {MAX_NAME_BYTES} bytes"
    except UnicodeEncodeError:
        return "it is not valid Unicode"
    if ".." in name or "@{" in name or name.endswith("."):
        return 'it holds ".." or "@{" or ends with "."'
    if not _FORBIDDEN.isdisjoint(name) or any(char < " " for char in name):
        return "it holds a space, a control character or one of ~ ^ : ? * [ \\"
    for part in name.split("/"):
        if not part or part.startswith(".") or part.endswith(".lock"):
            return 'a part of it is empty, begins with "." or ends with ".lock"'
        if part == "@" or part.startswith("-"):
            return 'a part of it is "@" or begins with "-"'
    return None


class Refs:
    """Reads refs as they are in the database; changes go through a transaction and show when it has ended."""

    def __init__(self, repository: Repository, database: Database) -> None:
        self._repository = repository
        self._database = database

    def get(self, name: str) -> Ref | None:
        row = self._database.find_row("SELECT name, target, kind FROM refs WHERE name = ?", (name,))
        return None if row is None else Ref(row[0], row[1], Kind(row[2]))

    def iter(self, prefix: str = "") -> Iterator[Ref]:
        """Yield the refs whose names begin with `prefix`, sorted by name."""
        rows = self._database.load_rows(
            "SELECT name, target, kind FROM refs WHERE substr(name, 1, ?) = ? ORDER BY name",
            (len(prefix), prefix),
        )
        for name, target, kind in rows:
            yield Ref(name, target, Kind(kind))

    def head(self) -> Head:
        row = self._database.find_row(
            "SELECT head.ref, coalesce(refs.target, head.target) FROM head LEFT JOIN refs ON refs.name = head.ref"
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

    def resolve_revision(self, text: str) -> bytes:
        """Return the id of the commit that `text` means; see `muse.store.revisions`."""
        from muse.store.revisions import resolve_revision

        return resolve_revision(self._repository, text)
