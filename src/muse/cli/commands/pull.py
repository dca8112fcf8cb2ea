"""`muse pull`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from muse.errors import Conflict, NotFound, UsageError

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context

EXAMPLE = """muse pull
muse pull origin main"""
JSON = """{"branch": "main", "old": "sha256:… or null", "new": "sha256:…", "commits": 3, "up_to_date": false,
 "written": 2, "deleted": 0, "fetch": {…as fetch…}}"""


def configure(parser: Parser) -> None:
    parser.add_argument(
        "remote", metavar="REMOTE", nargs="?", help="default: the one that the branch follows"
    )
    parser.add_argument("branch", metavar="BRANCH", nargs="?", help="default: the branch that it follows")


def run(context: Context, options: Namespace) -> None:
    from muse.cli.commands.fetch import choose_remote, fetch_remote, fetched_json, print_fetched
    from muse.objects.ids import format_id
    from muse.remote.state import get_wanted_refs
    from muse.store.tracking import find_upstream

    repository, output = context.repository, context.output
    head = repository.refs.head()
    if head.branch is None:
        raise UsageError("bad-arguments", "no branch is checked out", hint="muse switch to one first")
    remote = choose_remote(context, options.remote)
    upstream = find_upstream(repository, head.branch)
    name = upstream.ref if upstream.remote == remote else f"heads/{head.branch}"
    if options.branch is not None:
        name = options.branch if options.branch.startswith("heads/") else f"heads/{options.branch}"
    wanted = get_wanted_refs(repository, remote)
    if wanted and name not in wanted:
        wanted.append(name)
    try:
        fetched = fetch_remote(context, remote, wanted)
    except NotFound as error:
        if error.code != "unknown-revision":
            raise
        raise _no_branch(remote, name) from error
    if not output.json:
        print_fetched(context, fetched)
    ref = repository.refs.get(f"remotes/{remote}/{name}")
    if ref is None or name not in fetched.refs:
        raise _no_branch(remote, name)
    moved = _fast_forward(
        context, head.branch, head.target, ref.target, f"{remote}/{name.removeprefix('heads/')}"
    )
    output.document(
        {
            "branch": head.branch,
            "old": format_id(head.target) if head.target is not None else None,
            **moved,
            "fetch": fetched_json(fetched),
        }
    )


def _no_branch(remote: str, name: str) -> NotFound:
    short = name.removeprefix("heads/")
    return NotFound(
        "unknown-branch", f'"{remote}" has no branch "{short}"', hint=f"muse push {remote} makes it"
    )


def _fast_forward(
    context: Context, branch: str, ours: bytes | None, theirs: bytes, their_name: str
) -> dict[str, Any]:
    from muse.cli.output import counted
    from muse.history.walk import count_ahead_behind, is_ancestor, iter_commits
    from muse.objects.ids import format_id, short_id
    from muse.store.unfinished import find_unfinished
    from muse.worktree.checkout import checkout

    repository, output = context.repository, context.output
    if ours is not None and is_ancestor(repository.graph, theirs, ours):
        unfinished = find_unfinished(repository.muse_dir)
        if unfinished is not None:
            raise unfinished.refusal(repository.work_dir, repository.refs.head().branch)
        ahead = "" if ours == theirs else f", and has more than {their_name}"
        output.say(f'"{branch}" is up to date{ahead}')
        return {"new": format_id(ours), "commits": 0, "up_to_date": True, "written": 0, "deleted": 0}
    if ours is not None and not is_ancestor(repository.graph, ours, theirs):
        ahead_count, behind_count = count_ahead_behind(repository.graph, ours, theirs)
        raise Conflict(
            "diverged",
            f'"{branch}" and "{their_name}" both have new commits: {ahead_count} here, {behind_count} there',
            hint=_way_out(branch, their_name),
            details={"ahead": ahead_count, "behind": behind_count},
        )
    old_tree = repository.graph(ours).tree if ours is not None else None
    commits = sum(1 for _ in iter_commits(repository.graph, [theirs], [ours] if ours is not None else []))
    with context.progress() as progress, repository.transaction(context.operation) as transaction:
        result = checkout(repository, transaction, old_tree, repository.graph(theirs).tree, False, progress)
        transaction.set_ref(f"heads/{branch}", theirs, expected=ours)
    start = short_id(ours) if ours is not None else "nothing"
    output.say(f'"{branch}" {start} -> {short_id(theirs)}, {counted(commits, "commit")}')
    output.say(f"{counted(result.written, 'file')} written, {result.deleted:,} deleted")
    return {
        "new": format_id(theirs),
        "commits": commits,
        "up_to_date": False,
        "written": result.written,
        "deleted": result.deleted,
    }


def _way_out(branch: str, their_name: str) -> str:
    """Say how to put one's own changes on top of theirs."""
    mine = f"{branch}-mine"
    return (
        f"put yours on top: muse branch -m {mine} && muse switch -c {branch} {their_name}, "
        f"then muse restore --source {mine} PATH... brings the files that you changed "
        f"(muse log {their_name}..{mine} lists yours); commit and push"
    )
