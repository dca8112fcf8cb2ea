"""What refs were before the last operations, read back from the operation log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from muse.objects.ids import Key, Kind
from muse.store.refs import SYMBOLIC

if TYPE_CHECKING:
    from muse.store.repository import Repository


def find_earlier(repository: Repository, ref_name: str, changes: int) -> Key | None:
    """Return what a ref pointed at so many changes ago, one at least; None if it did not exist then."""
    for operation in repository.operations.iter():
        for change in operation.changes:
            if change.ref == ref_name:
                changes -= 1
                if changes == 0:
                    return None if change.old is None else (Kind(change.old_kind), change.old)
    return None


def find_earlier_head(repository: Repository, changes: int) -> bytes | None:
    """Return the commit that was checked out so many changes ago; None if there was none.

    HEAD changes when another branch is checked out and when its branch moves. So the log is walked back with
    HEAD and all branches as they were before each operation.
    """
    head = repository.refs.head()
    branch, commit = head.ref, head.target
    branches: dict[str, bytes | None] = {}
    operations = repository.operations.iter()
    while changes:
        operation = next(operations, None)
        if operation is None:
            return None
        touched = False
        before = branch
        for change in operation.changes:
            if change.ref == "HEAD":
                touched = True
                before = change.old.decode() if change.old_kind == SYMBOLIC and change.old else None
                commit = change.old if before is None else None
            else:
                branches[change.ref] = change.old
                touched |= change.ref == branch
        if before is not None:
            if before not in branches:
                ref = repository.refs.get(before)
                branches[before] = None if ref is None else ref.target
            commit = branches[before]
        branch = before
        changes -= touched
    return commit
