"""Turning a tree into files: checked as a whole first, then each file whole or not at all."""

from __future__ import annotations

from collections.abc import Iterable

from muse.errors import NotFound
from muse.history.lookup import find_path, iter_files
from muse.history.treediff import Change, diff_trees
from muse.objects.ids import Kind
from muse.objects.tree import DIRECTORY, Entry
from muse.store.progress import Progress
from muse.store.repository import Repository
from muse.store.transaction import Transaction
from muse.store.unfinished import Unfinished, clear_unfinished, find_unfinished, save_unfinished
from muse.worktree.application import Application, CheckoutResult, save_rows
from muse.worktree.bounds import iter_changes
from muse.worktree.lock import work_tree_lock
from muse.worktree.ondisk import confuses_names
from muse.worktree.paths import Selection
from muse.worktree.plan import Planner, check_tree_collisions
from muse.worktree.scan import head_tree


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
        _clear_at_commit(repository, transaction, before, new_tree)
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
        before = find_unfinished(repository.muse_dir)
        changes = _find_restored(repository, paths, source_tree, head, before)
        mark: Unfinished | None = None
        if before is not None or len(changes) > 1:  # one file is restored whole or not at all
            marked_paths = tuple(paths) if before is None else before.paths
            mark = _next_mark(before, (head,), source_tree, marked_paths)
        planner = Planner(repository, force=True, clear_directories=False)
        result = _carry_out(repository, transaction, planner, changes, source_tree, head, progress, mark)
        if before is None or all(map(Selection(paths).covers, before.paths)):
            _clear_at_commit(repository, transaction, before, head)
        return result


def _find_restored(
    repository: Repository,
    paths: list[str],
    source_tree: bytes | None,
    head: bytes | None,
    unfinished: Unfinished | None,
) -> list[Change]:
    """Return what a restore changes in the files that the current commit has; raises `unknown-path`."""
    wanted: dict[str, Entry] = {}
    tracked: dict[str, Entry] = {}
    for path in paths:
        in_source = _collect(repository, source_tree, path, wanted)
        if not _collect(repository, head, path, tracked) and not in_source:
            raise NotFound("unknown-path", f'"{path}" is neither in the source nor in the current commit')
    seen = wanted.keys() | tracked.keys()
    changes = [Change(path, tracked.get(path), wanted.get(path)) for path in sorted(seen)]
    if unfinished is not None:
        # What an interrupted checkout left, and neither side has, goes as well.
        left: dict[str, Entry] = {}
        for tree in {*unfinished.trees, unfinished.target} - {source_tree, head}:
            if tree is not None and repository.objects.has(Kind.TREE, tree):
                for path in paths:
                    _collect(repository, tree, path, left)
        changes += [Change(path, left[path], None) for path in sorted(left.keys() - seen)]
    return changes


def _collect(repository: Repository, tree: bytes | None, path: str, into: dict[str, Entry]) -> bool:
    """Add the files of a tree at and below a path; False if it has no such path."""
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


def _next_mark(
    before: Unfinished | None, trees: tuple[bytes | None, ...], target: bytes | None, paths: tuple[str, ...]
) -> Unfinished:
    """Return the mark of a checkout that begins where another may have stopped."""
    if before is None:
        return Unfinished(trees, target, paths)
    known = dict.fromkeys((*before.trees, before.target, *trees))
    return Unfinished(tuple(known), target, paths, before.clone)


def _clear_at_commit(
    repository: Repository, transaction: Transaction, mark: Unfinished | None, tree: bytes | None
) -> None:
    """Let the mark go when the refs have moved, too; a clone is not finished by checking out nothing."""
    if mark is None or mark.clone is None or tree is not None:
        transaction.after_commit.append(lambda: clear_unfinished(repository.muse_dir))


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
    application = Application(repository, plan, progress, marked=mark is not None)
    result = application.run()
    del plan.writes[:]  # one of two lists as long as the tree, and no longer needed
    save_rows(repository, transaction, plan.rows, row_tree, plan.touched, application.verified)
    return result
