"""What an import or an export did: everything a command shows, as text or as JSON."""

from __future__ import annotations

from typing import NamedTuple


class RefChange(NamedTuple):
    """What became of one ref.

    `how` is one of: created, fast-forward, forced, unchanged; on import also ahead (has commits of its own
    on top of Git's: kept), diverged (kept), vanished (gone in Git: kept), pruned. `old` and `new` are hex
    digits: ids of muse on import, ids of Git on export; None where there is nothing.
    """

    name: str
    git_name: str
    old: str | None
    new: str | None
    how: str


class Loss(NamedTuple):
    """Something in a Git repository without counterpart: where, why, and what was made of it.

    `commit` is the Git id of the commit in which it was met first, or the name of the ref or tag.
    """

    commit: str
    path: str
    reason: str
    result: str


class ImportResult(NamedTuple):
    """Counts are of objects that were read, that is, new ones; `size_bytes` is their raw size in Git.

    `head` is the branch that HEAD was set to (on a first import), `moved_current` says that the branch that
    is checked out was moved; `shallow` counts commits whose parents the source does not have.
    """

    source: str
    object_format: str
    commits: int
    trees: int
    blobs: int
    tags: int
    size_bytes: int
    refs: list[RefChange]
    head: str | None
    moved_current: bool
    shallow: int
    losses: list[Loss]


class ExportResult(NamedTuple):
    """Counts are of objects written; `size_bytes` is their raw size, `pack_bytes` what they take in packs.

    `not_exported` counts facts for which Git has no place, by their name.
    """

    directory: str
    object_format: str
    created: bool
    commits: int
    trees: int
    blobs: int
    tags: int
    size_bytes: int
    pack_bytes: int
    refs: list[RefChange]
    not_exported: dict[str, int]
