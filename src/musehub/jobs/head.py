"""The files of the default branch, and how they differ from those looked at last."""

from __future__ import annotations

from typing import Any, NamedTuple

from muse.errors import CorruptStore
from muse.history.treediff import Change
from muse.objects.ids import Kind
from musehub.db.history import find_trees
from musehub.db.refs import find_refs
from musehub.jobs.work import Work
from musehub.repos.differences import diff_trees

MAX_CHANGES = 20_000
"""With more than this, looking at all files again is not slower."""


async def find_head_tree(work: Work) -> bytes | None:
    """The root tree of the default branch; None while there is none. Jobs that run together see the same."""
    return await work.share("head", lambda: _find(work))


async def _find(work: Work) -> bytes | None:
    name = f"heads/{work.repository.default_branch}"
    async with work.parts.database.read("find head") as conn:
        ref = (await find_refs(conn, work.repository.id, [name])).get(name)
        if ref is None or ref.kind is not Kind.COMMIT:
            return None
        return (await find_trees(conn, work.repository.id, [ref.target])).get(ref.target)


class SinceLast(NamedTuple):
    """`known` is what a job saved last, if it can go on from there; `changes` None: look at all files."""

    tree: bytes
    known: dict[str, Any]
    changes: list[Change] | None


async def look_since_last(work: Work, name: str) -> SinceLast | None:
    """What a job that goes from one tree to the next begins with; None while there is no default branch.

    Such a job saves the `tree` that it looked at as hex, and `too_large` if it could not look at all of it.
    """
    tree = await find_head_tree(work)
    if tree is None:
        return None
    known = await work.find(name) or {}
    if known.get("too_large"):
        known = {}
    return SinceLast(tree, known, await _find_changes(work, known.get("tree"), tree))


async def _find_changes(work: Work, old: str | None, new: bytes) -> list[Change] | None:
    """None if there are too many; or if a clean-up has removed the old tree."""
    if old is None:
        return None

    async def compare() -> list[Change] | None:
        before = bytes.fromhex(old)
        try:
            changes, more = await diff_trees(
                work.reader, before, new, MAX_CHANGES, work.parts.settings.job_max_directories
            )
        except CorruptStore:
            return None
        return None if more else changes

    return await work.share(("changes since", old, new), compare)
