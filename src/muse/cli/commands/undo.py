"""`muse undo`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from muse.errors import UsageError

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.store.operations import Operation, Undone
    from muse.store.repository import Repository

EXAMPLE = """muse undo
muse undo --redo
muse undo 7"""
JSON = """{"operations": [{"id": 7, "command": "muse commit -m bridge", "refs": ["heads/main"],
 "work_tree": null or {"written": 3, "deleted": 1}}]}"""

_KEEPS_FILES = ("muse commit ", "muse branch ", "muse tag ")


def configure(parser: Parser) -> None:
    parser.add_argument(
        "operation", metavar="OPERATION", nargs="?", type=int, help="its number in muse oplog"
    )
    parser.add_argument(
        "-n", "--count", metavar="N", type=int, default=1, help="take back the last N operations"
    )
    parser.add_argument("--redo", action="store_true", help="take back the last undo")
    parser.epilog = (
        "The work tree goes back with the refs, to where it was before the command: the files of an undone\n"
        "commit stay as they are, as uncommitted work; a switch or pull is taken back on disk as well.\n\n"
        + (parser.epilog or "")
    )


def run(context: Context, options: Namespace) -> None:
    if options.operation is not None and (options.redo or options.count != 1):
        raise UsageError("bad-arguments", "an operation is named, counted or redone, not two of these")
    rows = [_undo_one(context, options) for _ in range(max(options.count, 1))]
    context.output.document({"operations": rows})


def _undo_one(context: Context, options: Namespace) -> dict[str, Any]:
    from muse.cli.output import counted

    repository, output = context.repository, context.output
    log = repository.operations
    result = None
    with context.progress() as progress, repository.transaction(context.operation) as transaction:
        undone = log.redo(transaction) if options.redo else log.undo(transaction, options.operation)
        if _moves_files(repository, undone):
            from muse.worktree.checkout import checkout

            before, after = (
                repository.graph(commit).tree if commit is not None else None
                for commit in (undone.commit_before, undone.commit_after)
            )
            result = checkout(repository, transaction, before, after, False, progress)
    original = _original(repository, undone.operation)
    verb = "done again" if options.redo else "undone"
    output.say(f"{verb}: {original.command}")
    if result is not None and (result.written or result.deleted):
        output.say(f"{counted(result.written, 'file')} written, {result.deleted:,} deleted")
    return {
        "id": undone.operation.id,
        "command": original.command,
        "refs": [change.ref for change in undone.operation.changes],
        "work_tree": {"written": result.written, "deleted": result.deleted} if result is not None else None,
    }


def _original(repository: Repository, operation: Operation) -> Operation:
    """Return the command that an undo of an undo is about in the end."""
    while operation.undoes is not None:
        operation = repository.operations.get(operation.undoes)
    return operation


def _moves_files(repository: Repository, undone: Undone) -> bool:
    """Say whether the command changed the work tree; a commit records files and changes none."""
    if undone.commit_before == undone.commit_after:
        return False
    return not f"{_original(repository, undone.operation).command} ".startswith(_KEEPS_FILES)
