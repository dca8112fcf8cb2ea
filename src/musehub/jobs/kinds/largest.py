"""The largest files of the default branch."""

from __future__ import annotations

import heapq

from muse.errors import LimitReached
from muse.objects.tree import FILE_KINDS, Entry
from musehub.jobs.head import look_since_last
from musehub.jobs.work import Payload, Work
from musehub.repos.directories import iter_files

NAME = "largest"
KEPT = 100
SHOWN = 20
"""Fewer than are kept: some may shrink or go before all files need to be looked at again."""


async def run(work: Work, _payload: Payload) -> None:
    """Put what changed into the list; look at every file only if it has become too short."""
    since = await look_since_last(work, NAME)
    if since is None:
        return
    tree, known, changes = since
    kept: list[tuple[int, str]] | None = None
    complete = bool(known.get("complete"))
    if changes is not None:
        before = {item["path"]: item["bytes"] for item in known["files"]}
        smallest = min(before.values(), default=0)
        for change in changes:
            before.pop(change.path, None)
            # Something smaller than all of a full list may be smaller than others that were left out.
            new = change.new
            if new is not None and _counts(new) and (complete or new.size_bytes >= smallest):
                before[change.path] = new.size_bytes
        kept = [(size_bytes, path) for path, size_bytes in before.items()]
        if not complete and len(kept) < SHOWN:
            kept = None
    if kept is None:
        kept, complete = [], True
        try:
            async for files in iter_files(work.reader, tree, work.parts.settings.job_max_directories):
                found = [(entry.size_bytes, path) for path, entry in files if _counts(entry)]
                complete = complete and len(kept) + len(found) <= KEPT
                kept = heapq.nlargest(KEPT, kept + found)
        except LimitReached:
            await work.save(NAME, {"tree": tree.hex(), "too_large": True, "complete": False, "files": []})
            return
    complete = complete and len(kept) <= KEPT
    listed = [{"path": path, "bytes": size} for size, path in heapq.nlargest(KEPT, kept)]
    await work.save(NAME, {"tree": tree.hex(), "complete": complete, "files": listed})


def _counts(entry: Entry) -> bool:
    return entry.kind in FILE_KINDS
