"""Turning a tree into files: checked as a whole first, then each file whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from muse.errors import Environment, MuseError, NotFound
from muse.history.directory import iter_entries
from muse.history.lookup import find_path, iter_files
from muse.history.treediff import Change, diff_trees
from muse.objects.ids import Kind
from muse.objects.tree import CHUNKED_KINDS, DIRECTORY, SYMLINK, Entry
from muse.store.failure import os_failure
from muse.store.progress import Progress
from muse.store.repository import Repository
from muse.store.transaction import Transaction
from muse.store.unfinished import Unfinished, clear_unfinished, find_unfinished, save_unfinished
from muse.worktree.blobs import BlobFiles
from muse.worktree.bounds import iter_changes
from muse.worktree.large import iter_large
from muse.worktree.lock import work_tree_lock
from muse.worktree.ondisk import confuses_names
from muse.worktree.paths import Selection, join, parent_of
from muse.worktree.plan import Plan, Planner, Write, check_tree_collisions, with_parents
from muse.worktree.progress import Meter
from muse.worktree.scan import head_tree
from muse.worktree.statrow import decode_row, encode_row, pack_stats, packed_size
from muse.worktree.writing import Writer


class CheckoutResult(NamedTuple):
    """How many files were written and deleted, and how many had the wanted content already."""

    written: int
    deleted: int
    unchanged: int
    size_bytes: int


def checkout(
    repository: Repository,
    transaction: Transaction | None,
    old_tree: bytes | None,
    new_tree: bytes | None,
    force: bool = False,
    progress: Progress | None = None,
) -> CheckoutResult:
    """Change the work tree from `old_tree` to `new_tree`, None being the empty tree: only what differs.

    Everything is checked before anything is touched. A file that differs from both trees, or stands untracked
    or ignored where one has to be written, is somebody's work: `would-overwrite` names them all, and nothing
    happens. `force` overwrites them. What has the wanted content already is left as it is, so a checkout that
    was interrupted is completed by repeating it. From before the first file changes until `transaction` has
    been committed, the mark of `muse.store.unfinished` stands; where it stands already, the work tree counts
    as a mixture of the trees it names, and any checkout finishes it.

    Updates the stat cache in `transaction` (or one of its own): the next scan reads no file. Raises
    `name-collision` where the file system cannot keep two names apart, `bad-path`, `bad-object`,
    `missing-object`; `disk-full`, `read-only` and `io-error` say how much was written.
    """
    if transaction is None:
        # Held from the start: a clean-up would empty the folder in which files are made.
        with repository.transaction() as own:
            return checkout(repository, own, old_tree, new_tree, force, progress)
    with work_tree_lock(repository, exclusive=True):
        changes: Iterable[Change] = iter_changes(repository.objects.load, old_tree, new_tree)
        before = find_unfinished(repository.muse_dir)
        mark = _next_mark(before, (old_tree,), new_tree, ("",))
        also_known: dict[str, list[Entry]] | None = None
        if before is not None:
            changes, also_known = _diff_mixture(repository, mark.trees, new_tree)
        planner = Planner(repository, force=force, clear_directories=force, also_known=also_known)
        result = _carry_out(repository, transaction, planner, changes, new_tree, new_tree, progress, mark)
        if before is None or before.clone is None or new_tree is not None:
            transaction.after_commit.append(lambda: clear_unfinished(repository.muse_dir))
        return result


def restore(
    repository: Repository,
    paths: list[str],
    source_tree: bytes | None,
    transaction: Transaction | None = None,
    progress: Progress | None = None,
) -> CheckoutResult:
    """Give `paths` (slash paths from the root, with all below them) the content they have in `source_tree`.

    Local changes in them are overwritten, that is its purpose; tracked files that the source lacks are
    deleted, untracked ones stay. Moves no ref. Raises `unknown-path` for a path that neither the source nor
    the current commit has, and what `checkout` raises.
    """
    if transaction is None:
        with repository.transaction() as own:
            return restore(repository, paths, source_tree, own, progress)
    with work_tree_lock(repository, exclusive=True):
        head = head_tree(repository)
        wanted: dict[str, Entry] = {}
        tracked: dict[str, Entry] = {}
        left: dict[str, Entry] = {}
        for path in paths:
            found = [
                _collect(repository, tree, path, into)
                for tree, into in ((source_tree, wanted), (head, tracked))
            ]
            if not any(found):
                raise NotFound("unknown-path", f'"{path}" is neither in the source nor in the current commit')
        changes = [
            Change(path, tracked.get(path), wanted.get(path))
            for path in sorted(wanted.keys() | tracked.keys())
        ]
        before = find_unfinished(repository.muse_dir)
        finishes = before is None or all(map(Selection(paths).covers, before.paths))
        if before is not None:
            # What an interrupted checkout left, and neither side has, goes as well.
            for tree in {*before.trees, before.target} - {None, source_tree, head}:
                for path in paths:
                    _collect_if_there(repository, tree, path, left)
            seen = wanted.keys() | tracked.keys()
            changes += [Change(path, left[path], None) for path in sorted(left.keys() - seen)]
        mark = _next_mark(before, (head,), source_tree, tuple(paths) if before is None else before.paths)
        planner = Planner(repository, force=True, clear_directories=False)
        whole = before is None and len(changes) <= 1
        result = _carry_out(
            repository, transaction, planner, changes, source_tree, head, progress, None if whole else mark
        )
        if finishes and (before is None or before.clone is None or head is not None):
            transaction.after_commit.append(lambda: clear_unfinished(repository.muse_dir))
        return result


def _collect(repository: Repository, tree: bytes | None, path: str, into: dict[str, Entry]) -> bool:
    load = repository.objects.load
    if tree is None:
        return path == ""
    if path == "":
        into.update(iter_files(load, tree))
        return True
    entry = find_path(load, tree, path)
    if entry is None:
        return False
    if entry.kind == DIRECTORY:
        into.update(iter_files(load, entry.id, f"{path}/"))
    else:
        into[path] = entry
    return True


def _collect_if_there(repository: Repository, tree: bytes | None, path: str, into: dict[str, Entry]) -> None:
    if tree is not None and repository.objects.has(Kind.TREE, tree):
        _collect(repository, tree, path, into)


def _next_mark(
    before: Unfinished | None, trees: tuple[bytes | None, ...], target: bytes | None, paths: tuple[str, ...]
) -> Unfinished:
    """Return the mark of a checkout that begins where another may have stopped."""
    if before is None:
        return Unfinished(trees, target, paths)
    known = dict.fromkeys((*before.trees, before.target, *trees))
    return Unfinished(tuple(known), target, paths, before.clone)


def _diff_mixture(
    repository: Repository, trees: tuple[bytes | None, ...], target: bytes | None
) -> tuple[list[Change], dict[str, list[Entry]]]:
    """Compare a mixture of trees with `target`; returns the changes and what else may be at their paths."""
    changes: dict[str, Change] = {}
    also_known: dict[str, list[Entry]] = {}
    for tree in trees:
        if tree is not None and not repository.objects.has(Kind.TREE, tree):
            continue  # removed by a clean-up: then its files count as somebody's work
        for change in diff_trees(repository.objects.load, tree, target):
            first = changes.setdefault(change.path, change)
            if first is not change and change.old is not None:
                also_known.setdefault(change.path, []).append(change.old)
    return [changes[path] for path in sorted(changes)], also_known


def _carry_out(
    repository: Repository,
    transaction: Transaction,
    planner: Planner,
    changes: Iterable[Change],
    target_tree: bytes | None,
    row_tree: bytes | None,
    progress: Progress | None,
    mark: Unfinished | None,
) -> CheckoutResult:
    """Plan, apply and record; `row_tree` is the tree that the stat cache will be about."""
    plan = planner.plan(changes)
    if target_tree is not None and plan.writes and confuses_names(repository):
        check_tree_collisions(repository.objects.load, target_tree, plan.touched)
    if mark is not None and plan.changes_files:
        save_unfinished(repository.muse_dir, mark)
    application = _Application(repository, plan, progress, marked=mark is not None)
    result = application.run()
    del plan.writes[:]  # one of two lists as long as the tree, and no longer needed
    _save_rows(repository, transaction, plan.rows, row_tree, plan.touched, application.verified)
    return result


class _Application:
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


def _save_rows(
    repository: Repository,
    transaction: Transaction,
    rows: dict[str, bytes],
    tree_id: bytes | None,
    touched: set[str],
    verified: dict[str, tuple[bytes, Entry]],
) -> None:
    """Write the rows of the directories that were touched, for the tree that is there now."""
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
            name = entry.name
            inner = join(path, name)
            if entry.kind == DIRECTORY:
                if inner in touched:
                    pending.append((inner, entry.id))
                continue
            found = verified.get(inner)
            if found is not None:
                stats, written = found
                if written.id == entry.id and written.kind == entry.kind:
                    trusted[name] = stats
            elif old is not None and name in old.stats:
                known = old.find_entry(name)
                if known is not None and known.id == entry.id and known.kind == entry.kind:
                    trusted[name] = pack_stats(old.stats[name])
        ignored = old.ignored if old is not None else ()
        key = old.rules_key if old is not None else bytes(16)
        cache.save_directory(
            transaction, path, encode_row(directory_id, entries, trusted, key, sorted(ignored))
        )
    for path in touched - present:
        if path in rows:
            cache.forget_directory(transaction, path)
