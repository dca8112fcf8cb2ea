"""`muse switch`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, NamedTuple

from muse.errors import Conflict, NotFound, UsageError

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.store.refs import Head
    from muse.store.repository import Repository

EXAMPLE = """muse switch main
muse switch -c bridge main~2
muse switch --detach v1.0"""
JSON = (
    """{"branch": "bridge" or null, "id": "sha256:… or null", "created": true, "written": 3, "deleted": 1}"""
)


def configure(parser: Parser) -> None:
    parser.add_argument("name", metavar="BRANCH", help="the branch, - is the one before")
    parser.add_argument("start", metavar="START", nargs="?", help="with -c: where the new branch begins")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("-c", "--create", action="store_true", help="make the branch first")
    kind.add_argument("--detach", action="store_true", help="check out a commit, on no branch")
    parser.add_argument(
        "-f", "--force", action="store_true", help="overwrite uncommitted work that is in the way"
    )


def run(context: Context, options: Namespace) -> None:
    from muse.cli.output import clean
    from muse.objects.ids import format_id, short_id
    from muse.worktree.checkout import checkout

    repository, output = context.repository, context.output
    head = repository.refs.head()
    name: str = _branch_before(repository) if options.name == "-" else options.name
    if options.start is not None and not options.create:
        raise UsageError(
            "bad-arguments", "a start is for a new branch", hint=f"muse switch -c {name} {options.start}"
        )
    target, created, follows = _choose_target(context, options, name, head)
    old_tree = repository.graph(head.target).tree if head.target is not None else None
    new_tree = repository.graph(target).tree if target is not None else None
    with context.progress() as progress, repository.transaction(context.operation) as transaction:
        result = checkout(repository, transaction, old_tree, new_tree, options.force, progress)
        if options.detach:
            assert target is not None
            transaction.set_head(target)
        else:
            if created and target is not None:
                transaction.set_ref(f"heads/{name}", target, expected=None)
            transaction.set_head(f"heads/{name}")
        if follows:
            repository.settings.set(f"branch.{name}.remote", follows, transaction)
    what = f'new branch "{name}"' if created else f'branch "{name}"'
    if options.detach and target is not None:
        what = f"commit {short_id(target)}, on no branch"
    output.say(clean(f"switched to {what}{f', which follows {follows}/{name}' if follows else ''}"))
    output.document(
        {
            "branch": None if options.detach else name,
            "id": format_id(target) if target is not None else None,
            "created": created,
            "written": result.written,
            "deleted": result.deleted,
        }
    )


class _Target(NamedTuple):
    """Where to go; `follows` is the remote whose branch the new one follows."""

    commit: bytes | None
    created: bool = False
    follows: str | None = None


def _choose_target(context: Context, options: Namespace, name: str, head: Head) -> _Target:
    from muse.cli.commands.branch import get_branch
    from muse.cli.revisions import resolve

    repository = context.repository
    exists = repository.refs.get(f"heads/{name}") is not None
    if options.create:
        if exists:
            raise Conflict(
                "already-exists", f'there is a branch "{name}" already', hint=f"muse switch {name}"
            )
        start = resolve(context, options.start) if options.start is not None else head.target
        return _Target(start, created=True)
    if options.detach:
        return _Target(resolve(context, name))
    if not exists and (remote := _find_remote_branch(repository, name)):
        return _Target(resolve(context, f"remotes/{remote}/heads/{name}"), created=True, follows=remote)
    return _Target(head.target if head.branch == name else get_branch(repository, name))


def _find_remote_branch(repository: Repository, name: str) -> str | None:
    """Return the remote that has a branch of that name, if it is the only one."""
    remotes = {
        ref.name.split("/")[1]
        for ref in repository.refs.iter("remotes/")
        if ref.name.endswith(f"/heads/{name}") and ref.name.count("/") == 2 + 1 + name.count("/")
    }
    if len(remotes) > 1:
        raise UsageError(
            "bad-arguments",
            f'more than one remote has a branch "{name}": {", ".join(sorted(remotes))}',
            hint=f"muse switch -c {name} {min(remotes)}/{name}",
        )
    return next(iter(remotes), None)


def _branch_before(repository: Repository) -> str:
    """Return the branch that was checked out before this one, from the operation log."""
    for operation in repository.operations.iter():
        for change in operation.changes:
            if change.ref == "HEAD" and change.old is not None and change.old.startswith(b"heads/"):
                return change.old.decode().removeprefix("heads/")
    raise NotFound("unknown-branch", "no other branch was checked out before")
