"""`muse push`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from muse.errors import NotFound, RemoteFailure, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.remote.push import Pushed
    from muse.remote.selection import Wish
    from muse.store.repository import Repository
    from muse.wire.push import RefUpdate

EXAMPLE = """muse push
muse push origin main v1.0
muse push origin bridge:review/bridge
muse push --all --tags --timings"""
JSON = """{"remote": "origin", "url": "http://127.0.0.1:1337/ada/songs", "push_id": "<32 hex>",
 "created": false, "up_to_date": false, "resumed": false,
 "updates": [{"ref": "heads/main", "old": "sha256:… or null", "new": "sha256:… or null", "forced": false}],
 "objects": 12, "packs": 0, "bytes_sent": 3456, "requests": 1,
 "phases": [{"name": "plan", "seconds": 0.012}], "timeline": {…the hub's own…}}"""


_AGAIN = "what has arrived is not sent twice"


def configure(parser: Parser) -> None:
    parser.add_argument(
        "remote", metavar="REMOTE", nargs="?", help="default: the one that the branch follows"
    )
    parser.add_argument(
        "refspecs", metavar="REFSPEC", nargs="*", help="[+]SOURCE[:DESTINATION] (default: the current branch)"
    )
    parser.add_argument("--all", action="store_true", help="push every branch")
    parser.add_argument("--tags", action="store_true", help="push every tag")
    parser.add_argument("-d", "--delete", action="store_true", help="delete the named refs of the remote")
    parser.add_argument(
        "--force-with-lease",
        metavar="REF[:OLD]",
        nargs="?",
        const="",
        action="append",
        help="overwrite, but only what was last seen there",
    )
    parser.add_argument("-f", "--force", action="store_true", help="overwrite whatever is there")
    parser.add_argument(
        "-u", "--set-upstream", action="store_true", help="accepted; a first push always does this"
    )
    parser.add_argument(
        "--timings", action="store_true", help="show where the time went, here and in the hub"
    )
    parser.add_argument(
        "--receipt",
        metavar="PUSH_ID",
        nargs="?",
        const="",
        help="push nothing; say what became of a push, by default the one whose end was not seen here",
    )
    visibility = parser.add_mutually_exclusive_group()
    visibility.add_argument("--public", action="store_true", help="make a new repository public")
    visibility.add_argument("--private", action="store_true", help="make a new repository private (default)")


def run(context: Context, options: Namespace) -> None:
    from muse.remote.push import PushOptions, push
    from muse.remote.selection import select_refs
    from muse.remote.state import find_open_push, get_remote_url
    from muse.store.tracking import default_remote, find_upstream

    repository = context.repository
    head = repository.refs.head()
    if options.remote is not None:
        remote = options.remote
    else:
        remote = find_upstream(repository, head.branch).remote if head.branch else default_remote(repository)
    url = get_remote_url(repository, remote)
    if options.receipt is not None:
        _show_receipt(context, remote, options.receipt)
        return
    specs = options.refspecs or _followed(repository, remote, options)
    wishes = select_refs(
        repository,
        specs,
        all_branches=options.all,
        tags=options.tags,
        delete=options.delete,
        force=options.force,
    )
    lease = options.force_with_lease is not None
    if lease and options.force:
        raise UsageError("bad-arguments", "--force and --force-with-lease exclude each other")
    push_options = PushOptions(
        lease=lease,
        expected=_expected(context, remote, options.force_with_lease or []),
        visibility="public" if options.public else "private" if options.private else None,
    )
    try:
        with context.hub(url.origin) as hub, context.progress() as progress:
            pushed = push(repository, remote, wishes, hub, options=push_options, progress=progress)
    except RemoteFailure as failure:
        if find_open_push(repository, remote) is not None and _AGAIN not in (failure.hint or ""):
            failure.hint = "; ".join(filter(None, (failure.hint, f"then push again: {_AGAIN}")))
        raise
    except KeyboardInterrupt:
        if find_open_push(repository, remote) is not None and not context.output.json:
            context.output.warning("this push has not ended", f"push again when you like: {_AGAIN}")
        raise
    _remember_upstream(repository, remote, wishes)
    if context.output.json:
        context.output.document(pushed_json(pushed, str(url)))
    else:
        _print(context, pushed, str(url), options.timings)


def _show_receipt(context: Context, remote: str, push_id: str) -> None:
    """Answer "did my push land?", also from another machine than the one that pushed."""
    from muse.remote.state import find_open_push, get_remote_url
    from muse.wire.push import PUSH_ID_BYTES

    if not push_id:
        found = find_open_push(context.repository, remote)
        if found is None:
            raise NotFound(
                "receipt-not-found", f'the end of every push to "{remote}" was seen here', hint="give its id"
            )
        push_id = found.hex()
    try:
        number = bytes.fromhex(push_id)
    except ValueError:
        number = b""
    if len(number) != PUSH_ID_BYTES:
        raise UsageError("bad-arguments", f'"{push_id}" is not the id of a push', hint="32 hex digits")
    url = get_remote_url(context.repository, remote)
    with context.hub(url.origin) as hub:
        receipt = hub.load_json("GET", f"{url.path}/push/{number.hex()}")
    if context.output.json:
        context.output.document({"remote": remote, "url": str(url), **receipt})
        return
    state = {"done": "landed", "failed": "failed", "receiving": "has not ended"}
    open_still = receipt.get("state") == "receiving"
    when = _short_time(receipt.get("started_at" if open_still else "finished_at"))
    said = state.get(str(receipt.get("state")), "is unknown")
    context.output.write(f"push {number.hex()} {said} ({'begun ' if open_still else ''}{when})")
    if open_still:
        context.output.write(f"muse push {remote} takes it up: {_AGAIN}")
    for name, ref in ((receipt.get("result") or {}).get("refs") or {}).items():
        context.output.write(f"  {name} {ref['target'] if ref else 'deleted'}")
    error = receipt.get("error") or {}
    if error:
        context.output.write(f"  {error.get('code')}: {error.get('message')}")


def _short_time(text: object) -> str:
    """Write an instant of the hub as every other command writes times."""
    from datetime import datetime

    from muse.cli.dates import format_date

    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return "at a time that is not known"
    return format_date(int(moment.timestamp()), 0)


def _followed(repository: Repository, remote: str, options: Namespace) -> list[str]:
    """Push the current branch to the one that it follows, where that has another name."""
    from muse.store.tracking import find_upstream

    branch = repository.refs.head().branch
    if branch is None or options.all or options.tags or options.delete:
        return []
    upstream = find_upstream(repository, branch)
    if upstream.remote != remote or upstream.ref == f"heads/{branch}":
        return []
    return [f"heads/{branch}:{upstream.ref}"]


def _expected(context: Context, remote: str, leases: list[str]) -> Mapping[str, bytes | None]:
    """Turn `REF[:OLD]` into what the remote's ref must be."""
    from muse.cli.revisions import resolve

    expected: dict[str, bytes | None] = {}
    for lease in leases:
        name, colon, old = lease.partition(":")
        if not name:
            continue
        full = name if name.startswith(("heads/", "tags/")) else f"heads/{name}"
        if colon:
            expected[full] = resolve(context, old) if old else None
            continue
        ref = context.repository.refs.get(f"remotes/{remote}/{full}")
        if ref is None:
            raise NotFound(
                "unknown-branch", f'"{full}" of "{remote}" was never seen', hint="muse fetch first"
            )
        expected[full] = ref.target
    return expected


def _remember_upstream(repository: Repository, remote: str, wishes: list[Wish]) -> None:
    """Let the current branch follow where it was pushed to, the first time."""
    head = repository.refs.head()
    if head.branch is None or repository.settings.get(f"branch.{head.branch}.remote") is not None:
        return
    for wish in wishes:
        if wish.target is not None and wish.name.startswith("heads/") and wish.target.target == head.target:
            with repository.transaction() as transaction:
                repository.settings.set(f"branch.{head.branch}.remote", remote, transaction)
                if wish.name != f"heads/{head.branch}":
                    repository.settings.set(f"branch.{head.branch}.merge", wish.name, transaction)
            return


def pushed_json(pushed: Pushed, url: str) -> dict[str, Any]:
    from muse.objects.ids import format_id

    receipt = pushed.receipt
    return {
        "remote": pushed.remote,
        "url": url,
        "push_id": receipt.push_id.hex(),
        "created": receipt.created,
        "up_to_date": receipt.up_to_date,
        "resumed": pushed.resumed,
        "updates": [
            {
                "ref": update.name,
                "old": format_id(update.old) if update.old is not None else None,
                "new": format_id(update.new) if update.new is not None else None,
                "forced": update.force,
            }
            for update in receipt.updates
        ],
        "objects": pushed.objects,
        "packs": pushed.packs,
        "bytes_sent": pushed.bytes_sent,
        "requests": pushed.requests,
        "phases": [phase._asdict() for phase in pushed.phases],
        "timeline": receipt.timeline,
    }


def _print(context: Context, pushed: Pushed, url: str, timings: bool) -> None:
    from muse.cli.output import counted, human_size

    output, receipt = context.output, pushed.receipt
    if receipt.created:
        output.say(f"new repository {url}")
    moved = [update for update in receipt.updates if update.old != update.new]
    for update in moved:
        output.say(_update_line(update, pushed.remote))
    if not moved:
        output.say(f'"{pushed.remote}" has everything already')
    elif pushed.objects:
        packs = f" in {counted(pushed.packs, 'pack')}" if pushed.packs else ""
        output.say(f"sent {counted(pushed.objects, 'object')}{packs}, {human_size(pushed.bytes_sent)}")
    if timings:
        _print_timings(context, pushed)


def _update_line(update: RefUpdate, remote: str) -> str:
    from muse.objects.ids import short_id

    name = update.name.removeprefix("heads/").replace("tags/", "tag ", 1)
    old = short_id(update.old) if update.old is not None else None
    new = short_id(update.new) if update.new is not None else None
    if new is None:
        return f"{remote}/{name} deleted, was {old}"
    if old is None:
        return f"{remote}/{name} new at {new}"
    return f"{remote}/{name} {old} -> {new}"


def _print_timings(context: Context, pushed: Pushed) -> None:
    from muse.cli.commands.fetch import print_phases
    from muse.cli.output import columns

    print_phases(context, pushed)
    context.output.write("in the hub:")
    for line in columns(timeline_rows(pushed.receipt.timeline)):
        context.output.write(f"  {line}")


def timeline_rows(timeline: Mapping[str, Any]) -> list[list[str]]:
    """Return what the hub says of its time; what overlapped the upload is marked and part of no sum."""
    from muse.cli.output import counted, human_size

    def ms(seconds: Any) -> str:
        return f"{1000 * float(seconds or 0):,.1f} ms"

    rows = [[str(phase.get("name", "")), ms(phase.get("s"))] for phase in timeline.get("phases", [])]
    uploads = timeline.get("uploads")
    if uploads:
        packs = f"{counted(int(uploads.get('packs', 0)), 'pack')}, {human_size(int(uploads.get('bytes', 0)))}"
        rows.append(["verify packs", f"{ms(uploads.get('s'))}, {packs}, during the upload"])
    parts = timeline.get("parts")
    if parts:
        what = f"{parts.get('trees', 0):,} trees, {counted(int(parts.get('commits', 0)), 'commit')}"
        rows.append(["check first parts", f"{ms(parts.get('s'))}, {what}, during the upload"])
    return [
        *rows,
        ["all of it", ms(timeline.get("total_s"))],
        ["longest transaction", ms(timeline.get("longest_transaction_s"))],
        ["database", f"{timeline.get('statements', 0)} statements"],
        [
            "store",
            f"{timeline.get('store_calls', 0)} calls, {human_size(int(timeline.get('store_bytes', 0)))}",
        ],
    ]
