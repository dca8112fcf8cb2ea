"""The files of the default branch, and how they differ from those looked at last."""

from __future__ import annotations

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


async def find_changes_since(work: Work, old: str | None, new: bytes) -> list[Change] | None:
    """What differs from a tree looked at before, given as hex; None: look at everything.

    A clean-up may have removed the old tree: then everything is looked at, too.
    """
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
