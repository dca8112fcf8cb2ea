"""Carrying out the plan of a checkout, and keeping in the stat cache what it left."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from muse.errors import Environment, MuseError
from muse.history.directory import iter_entries
from muse.objects.tree import CHUNKED_KINDS, DIRECTORY, SYMLINK, Entry
from muse.store.failure import os_failure
from muse.store.progress import Progress
from muse.store.repository import Repository
from muse.store.transaction import Transaction
from muse.worktree.blobs import BlobFiles
from muse.worktree.large import iter_large
from muse.worktree.paths import join, parent_of
from muse.worktree.plan import Plan, Write, with_parents
from muse.worktree.progress import Meter
from muse.worktree.statrow import StatRow, decode_row, encode_row, pack_stats, packed_size
from muse.worktree.writing import Writer


class CheckoutResult(NamedTuple):
    """How many files were written and deleted, and how many had the wanted content already."""

    written: int
    deleted: int
    unchanged: int
    size_bytes: int


class Application:
    """Carries a plan out; collects (stats, entry) of files in whose stats any later change will show."""

    def __init__(
        self, repository: Repository, plan: Plan, progress: Progress | None, *, marked: bool
    ) -> None:
        self._repository = repository
        self._marked = marked
        self._objects = repository.objects
        self._plan = plan
        self.verified = {path: (pack_stats(stats), entry) for path, (stats, entry) in plan.present.items()}
        self._progress = progress
        self._written = 0
        self._streamed = 0
        self._path = ""

    def run(self) -> CheckoutResult:
        plan = self._plan
        if not plan.changes_files:
            return CheckoutResult(0, 0, plan.unchanged, 0)
        try:
            with Writer(self._repository, in_place=self._marked) as writer:
                self._make_room(writer)
                for path in plan.submodules:
                    self._path = path
                    writer.make_directory(path)
                self._write_all(writer)
        except OSError as error:
            raise self._failure(error) from error
        size_bytes = sum(write.entry.size_bytes for write in plan.writes)
        return CheckoutResult(len(plan.writes), len(plan.deletes), plan.unchanged, size_bytes)

    def _make_room(self, writer: Writer) -> None:
        plan = self._plan
        for path, seen in plan.deletes:
            self._path = path
            self.verified.pop(path, None)
            writer.delete(path, seen)
        for path in plan.clear:
            self._path = path
            writer.clear_tree(path)
        needed = with_parents(parent_of(write.path) for write in plan.writes) | set(plan.submodules)
        writer.remove_empty((parent_of(path) for path, _ in plan.deletes), needed)
        for path in plan.replace:
            self._path = path
            try:
                writer.remove_empty_tree(path, needed)
            except (FileNotFoundError, NotADirectoryError):
                pass

    def _write_all(self, writer: Writer) -> None:
        writes = self._plan.writes
        meter = Meter(
            self._progress, "writing files", len(writes), sum(write.entry.size_bytes for write in writes)
        )
        by_blob: dict[bytes, list[Write]] = {}
        large: list[Write] = []
        for write in writes:
            entry = write.entry
            if entry.kind == SYMLINK:
                self._path = write.path
                target = self._plan.links[entry.id]
                stats = writer.link(write.path, target, write.seen)
                self._note(write, None if stats is None else pack_stats(stats), len(target))
                meter.add_bytes(entry.size_bytes)
                meter.add_file()
            elif entry.kind in CHUNKED_KINDS:
                large.append(write)
            else:
                by_blob.setdefault(entry.id, []).append(write)

        def begin(path: str) -> None:
            self._path = path

        def note(write: Write, packed: bytes | None, size_bytes: int) -> None:
            self._note(write, packed, size_bytes)
            meter.add_bytes(size_bytes)
            meter.add_file()

        BlobFiles(self._repository, writer, by_blob, begin, note).run()
        for write in large:
            self._path = write.path
            stats = writer.write(write.path, write.entry, self._iter_content(write, meter), write.seen)
            self._note(write, None if stats is None else pack_stats(stats), self._streamed)
            meter.add_file()

    def _iter_content(self, write: Write, meter: Meter) -> Iterator[bytes | memoryview]:
        size_bytes = 0
        for piece in iter_large(self._objects, self._repository.segments_dir, write.entry.id):
            yield piece
            size_bytes += len(piece)
            meter.add_bytes(len(piece))
        self._streamed = size_bytes

    def _note(self, write: Write, packed: bytes | None, size_bytes: int) -> None:
        self._written += 1
        if packed is not None and packed_size(packed) == size_bytes:
            self.verified[write.path] = (packed, write.entry)
        else:
            self.verified.pop(write.path, None)

    def _failure(self, error: OSError) -> MuseError:
        cause = os_failure(error, self._path)
        total = len(self._plan.writes)
        details = {"path": self._path, "written": self._written, "total": total}
        hint = "what was written stays; run the command again when the cause is gone"
        message = f"{cause.message} ({self._written} of {total} files were written)"
        return Environment(cause.code, message, hint=hint, retry=True, details=details)


def save_rows(
    repository: Repository,
    transaction: Transaction,
    rows: dict[str, bytes],
    tree_id: bytes | None,
    touched: set[str],
    verified: dict[str, tuple[bytes, Entry]],
) -> None:
    """Write the rows of the directories that a checkout touched, for the tree `tree_id`, which is there now.

    `rows` are those from before; `verified` has the stats of files that it wrote or compared.
    """
    load = repository.objects.load
    cache = repository.stat_cache
    present: set[str] = set()
    pending = [] if tree_id is None else [("", tree_id)]
    while pending:
        path, directory_id = pending.pop()
        present.add(path)
        old = decode_row(rows.get(path))
        entries = list(iter_entries(load, directory_id))
        trusted: dict[str, bytes] = {}
        for entry in entries:
            inner = join(path, entry.name)
            if entry.kind == DIRECTORY:
                if inner in touched:
                    pending.append((inner, entry.id))
                continue
            stats = _find_trusted(entry, verified.get(inner), old)
            if stats is not None:
                trusted[entry.name] = stats
        ignored = old.ignored if old is not None else ()
        key = old.rules_key if old is not None else bytes(16)
        cache.save_directory(
            transaction, path, encode_row(directory_id, entries, trusted, key, sorted(ignored))
        )
    for path in touched - present:
        if path in rows:
            cache.forget_directory(transaction, path)


def _find_trusted(entry: Entry, verified: tuple[bytes, Entry] | None, old: StatRow | None) -> bytes | None:
    """Return the packed stats that a file has while it is what the entry says, if they are known."""
    known: Entry | None
    if verified is not None:
        stats, known = verified
    elif old is not None and entry.name in old.stats:
        stats, known = pack_stats(old.stats[entry.name]), old.find_entry(entry.name)
    else:
        return None
    return stats if known is not None and (known.id, known.kind) == (entry.id, entry.kind) else None
