"""`muse branch`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from muse.errors import Conflict, NotFound, UsageError

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.store.repository import Repository

EXAMPLE = """muse branch
muse branch bridge main~2
muse branch -d bridge"""
JSON = """list: {"branches": [{"name": "main", "ref": "heads/main", "current": true, "id": "sha256:…",
  "summary": "add the bridge", "time": "2024-05-01T12:00:00+02:00"}]}
make: {"name": "bridge", "id": "sha256:…"}
delete: {"deleted": [{"name": "bridge", "id": "sha256:…"}]}
rename: {"name": "bridge", "old_name": "brigde"}"""


def configure(parser: Parser) -> None:
    parser.add_argument(
        "names", metavar="NAME [START]", nargs="*", help="make the branch NAME at START (default: here)"
    )
    kinds = parser.add_mutually_exclusive_group()
    kinds.add_argument("-d", "--delete", action="store_true", help="delete branches that are merged")
    kinds.add_argument("-D", dest="force_delete", action="store_true", help="delete branches, merged or not")
    kinds.add_argument("-m", "--move", action="store_true", help="rename: [OLD] NEW")
    parser.add_argument("-f", "--force", action="store_true", help="move the branch if it exists")
    parser.add_argument("-a", "--all", action="store_true", help="list the branches of remotes, too")


def run(context: Context, options: Namespace) -> None:
    if options.delete or options.force_delete:
        _delete(context, options)
    elif options.move:
        _rename(context, options)
    elif options.names:
        _create(context, options)
    else:
        _list(context, options)


def _list(context: Context, options: Namespace) -> None:
    from muse.cli.dates import format_iso
    from muse.cli.output import clean
    from muse.objects.commit import decode_commit
    from muse.objects.ids import Kind, format_id, short_id

    repository, output = context.repository, context.output
    head = repository.refs.head()
    rows = []
    refs = list(repository.refs.iter("heads/"))
    if options.all:
        refs += [ref for ref in repository.refs.iter("remotes/") if "/tags/" not in ref.name]
    for ref in refs:
        commit = decode_commit(repository.objects.load(Kind.COMMIT, ref.target))
        name = ref.name.removeprefix("heads/").removeprefix("remotes/").replace("/heads/", "/", 1)
        rows.append((name, ref, commit, ref.name == f"heads/{head.branch}"))
    output.document(
        {
            "branches": [
                {
                    "name": name,
                    "ref": ref.name,
                    "current": current,
                    "id": format_id(ref.target),
                    "summary": commit.summary,
                    "time": format_iso(commit.committer.time_s, commit.committer.offset_min),
                }
                for name, ref, commit, current in rows
            ]
        }
    )
    if head.branch is None and head.target is not None:
        output.write(output.style(f"* (detached at {short_id(head.target)})", "green"))
    elif head.branch is not None and head.target is None:
        output.write(output.style(f"* {clean(head.branch)} (no commits yet)", "green"))
    rows = [(clean(name), ref, commit, current) for name, ref, commit, current in rows]
    width = max((len(name) for name, *_ in rows), default=0)
    for name, ref, commit, current in rows:
        color = "green" if current else "red" if ref.name.startswith("remotes/") else None
        shown = name.ljust(width)
        shown = output.style(shown, color) if color else shown
        output.write(f"{'*' if current else ' '} {shown}  {short_id(ref.target)}  {clean(commit.summary)}")


def _create(context: Context, options: Namespace) -> None:
    from muse.cli.revisions import resolve
    from muse.objects.ids import format_id, short_id

    if len(options.names) > 2:
        raise UsageError(
            "bad-arguments", "a branch has one name and one start", hint="muse branch NAME [START]"
        )
    name, *start = options.names
    commit_id = resolve(context, start[0] if start else "HEAD")
    repository = context.repository
    existing = repository.refs.get(f"heads/{name}")
    if existing is not None and not options.force:
        raise Conflict("already-exists", f'there is a branch "{name}" already', hint="-f moves it")
    if repository.refs.head().branch == name:
        raise Conflict("checked-out", f'"{name}" is the current branch', hint="muse undo takes back a commit")
    with repository.transaction(context.operation) as transaction:
        transaction.set_ref(f"heads/{name}", commit_id, expected=existing.target if existing else None)
    context.output.say(f'branch "{name}" at {short_id(commit_id)}')
    context.output.document({"name": name, "id": format_id(commit_id)})


def get_branch(repository: Repository, name: str) -> bytes:
    """Return the head of a branch; raises `unknown-branch` with the nearest name."""
    ref = repository.refs.get(f"heads/{name}")
    if ref is not None:
        return ref.target
    from difflib import get_close_matches

    names = [ref.name.removeprefix("heads/") for ref in repository.refs.iter("heads/")]
    close = get_close_matches(name, names, n=1)
    hint = f'did you mean "{close[0]}"' if close else "muse branch lists them"
    raise NotFound("unknown-branch", f'there is no branch "{name}"', hint=hint)


def _delete(context: Context, options: Namespace) -> None:
    from muse.objects.ids import format_id, short_id

    repository, output = context.repository, context.output
    if not options.names:
        raise UsageError("bad-arguments", "which branch", hint="muse branch -d NAME")
    head = repository.refs.head()
    targets = {name: get_branch(repository, name) for name in options.names}
    for name, target in targets.items():
        if name == head.branch:
            raise Conflict(
                "checked-out", f'"{name}" is the current branch', hint="muse switch to another one first"
            )
        if not options.force_delete and not _is_merged(repository, name, target):
            raise Conflict(
                "not-fast-forward",
                f'branch "{name}" has commits that no other branch has',
                hint=f"muse branch -D {name} deletes it all the same",
            )
    with repository.transaction(context.operation) as transaction:
        for name, target in targets.items():
            transaction.set_ref(f"heads/{name}", None, expected=target)
    for name, target in targets.items():
        output.say(f'deleted branch "{name}", which was at {short_id(target)}')
    output.document(
        {"deleted": [{"name": name, "id": format_id(target)} for name, target in targets.items()]}
    )


def _is_merged(repository: Repository, name: str, target: bytes) -> bool:
    """Say whether another branch, of this repository or of a remote, has all commits of this one."""
    from muse.history.walk import is_ancestor

    head = repository.refs.head()
    others = [] if head.target is None else [head.target]
    others += [ref.target for ref in repository.refs.iter("remotes/") if "/tags/" not in ref.name]
    others += [ref.target for ref in repository.refs.iter("heads/") if ref.name != f"heads/{name}"]
    return any(is_ancestor(repository.graph, target, other) for other in dict.fromkeys(others))


def _rename(context: Context, options: Namespace) -> None:
    repository = context.repository
    head = repository.refs.head()
    old_name = options.names[0] if len(options.names) == 2 else head.branch
    if len(options.names) not in (1, 2) or old_name is None:
        raise UsageError(
            "bad-arguments", "which branch, and what shall it be called", hint="muse branch -m [OLD] NEW"
        )
    new_name: str = options.names[-1]
    existing = repository.refs.get(f"heads/{new_name}")
    if existing is not None and not options.force:
        raise Conflict("already-exists", f'there is a branch "{new_name}" already', hint="-f replaces it")
    if old_name == head.branch and head.target is None:
        with repository.transaction(context.operation) as transaction:
            transaction.set_head(f"heads/{new_name}")
    else:
        target = get_branch(repository, old_name)
        with repository.transaction(context.operation) as transaction:
            transaction.set_ref(f"heads/{new_name}", target, expected=existing.target if existing else None)
            if old_name == head.branch:
                transaction.set_head(f"heads/{new_name}")
            transaction.set_ref(f"heads/{old_name}", None, expected=target)
    context.output.say(f'branch "{old_name}" is called "{new_name}" now')
    context.output.document({"name": new_name, "old_name": old_name})
