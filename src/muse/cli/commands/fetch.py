"""`muse fetch`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.remote.fetch import Fetched, RefChange
    from muse.wire.refs import Ref

EXAMPLE = """muse fetch
muse fetch origin main
muse fetch --prune"""
JSON = """{"remote": "origin", "changes": [{"ref": "remotes/origin/heads/main", "old": "sha256:… or null",
   "new": "sha256:… or null", "forced": false}], "kept_tags": [],
 "objects": 12, "packs": 0, "bytes_received": 3456, "requests": 1,
 "phases": [{"name": "ask", "seconds": 0.012}]}"""


def configure(parser: Parser) -> None:
    parser.add_argument(
        "remote", metavar="REMOTE", nargs="?", help="default: the one that the branch follows"
    )
    parser.add_argument(
        "refs", metavar="REF", nargs="*", help="branches or tags there (default: all, or remote.REMOTE.refs)"
    )
    parser.add_argument(
        "-p", "--prune", action="store_true", help="forget branches that the remote has no longer"
    )
    parser.add_argument("--timings", action="store_true", help="show where the time went")


def run(context: Context, options: Namespace) -> None:
    fetched = fetch_remote(context, choose_remote(context, options.remote), options.refs, options.prune)
    if context.output.json:
        context.output.document(fetched_json(fetched))
        return
    print_fetched(context, fetched)
    if not fetched.changes:
        context.output.say(f'nothing new at "{fetched.remote}"')
    if options.timings:
        print_phases(context, fetched)


def choose_remote(context: Context, named: str | None) -> str:
    """Return the named remote, or the one that the current branch follows."""
    from muse.store.tracking import default_remote, find_upstream

    repository = context.repository
    branch = repository.refs.head().branch
    if named is not None:
        return named
    return find_upstream(repository, branch).remote if branch else default_remote(repository)


def fetch_remote(context: Context, remote: str, refs: list[str], prune: bool = False) -> Fetched:
    from muse.remote.fetch import fetch
    from muse.remote.state import get_remote_url

    url = get_remote_url(context.repository, remote)
    with context.hub(url.origin) as hub, context.progress() as progress:
        return fetch(context.repository, remote, hub, refs=refs, prune=prune, progress=progress)


def fetched_json(fetched: Fetched) -> dict[str, Any]:
    return {
        "remote": fetched.remote,
        "changes": [
            {"ref": change.name, "old": _id(change.old), "new": _id(change.new), "forced": change.forced}
            for change in fetched.changes
        ],
        "kept_tags": fetched.kept_tags,
        "objects": fetched.objects,
        "packs": fetched.packs,
        "bytes_received": fetched.bytes_received,
        "requests": fetched.requests,
        "phases": [phase._asdict() for phase in fetched.phases],
    }


def _id(ref: Ref | None) -> str | None:
    from muse.objects.ids import format_id

    return format_id(ref.target) if ref is not None else None


def print_fetched(context: Context, fetched: Fetched) -> None:
    from muse.cli.output import counted, human_size

    output = context.output
    for change in fetched.changes:
        if not change.name.startswith(f"remotes/{fetched.remote}/tags/"):
            output.say(_change_line(change))
    if fetched.objects:
        output.say(f"received {counted(fetched.objects, 'object')}, {human_size(fetched.bytes_received)}")
    for name in fetched.kept_tags:
        short = name.removeprefix("tags/")
        output.warning(
            f'"{fetched.remote}" has another tag "{short}"; yours was kept',
            f"muse tag -d {short}, then fetch, takes theirs",
        )


def _change_line(change: RefChange) -> str:
    from muse.cli.output import clean
    from muse.objects.ids import short_id

    name = clean(change.name).removeprefix("remotes/").replace("/heads/", "/", 1).replace("tags/", "tag ", 1)
    if change.new is None:
        return f"{name} is gone"
    if change.old is None:
        return f"{name} new at {short_id(change.new.target)}"
    forced = " (was overwritten there)" if change.forced else ""
    return f"{name} {short_id(change.old.target)} -> {short_id(change.new.target)}{forced}"


def print_phases(context: Context, done: Any) -> None:
    """Print how long each phase took here."""
    from muse.cli.output import columns, counted

    rows = [[phase.name, f"{1000 * phase.seconds:,.1f} ms"] for phase in done.phases]
    total = sum(phase.seconds for phase in done.phases)
    rows.append(["all of it", f"{1000 * total:,.1f} ms, {counted(done.requests, 'request')}"])
    context.output.write("here:")
    for line in columns(rows):
        context.output.write(f"  {line}")
