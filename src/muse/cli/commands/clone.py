"""`muse clone`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from muse.errors import UsageError

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context

EXAMPLE = """muse clone http://127.0.0.1:1337/ada/songs
muse clone http://127.0.0.1:1337/ada/songs work --branch bridge
muse clone http://127.0.0.1:1337/ada/songs --only main"""
JSON = """{"path": "/home/ada/songs", "url": "…", "branch": "main", "id": null or "sha256:…",
 "branches": 2, "tags": 1, "fetch": {…as fetch…}}"""


def configure(parser: Parser) -> None:
    parser.add_argument("url", metavar="URL", help="http://HOST:PORT/OWNER/NAME")
    parser.add_argument(
        "directory", metavar="DIR", nargs="?", help="where to (default: the repository's name)"
    )
    parser.add_argument("-b", "--branch", metavar="NAME", help="check out this branch, not the default one")
    parser.add_argument(
        "--only", metavar="NAME", help="this branch alone, now and with every fetch that names nothing"
    )
    parser.add_argument(
        "-o", "--origin", metavar="NAME", default="origin", help="name of the remote (default: origin)"
    )
    parser.add_argument("--no-checkout", dest="checkout", action="store_false", help="write no files")
    parser.add_argument("--timings", action="store_true", help="show where the time went")


def run(context: Context, options: Namespace) -> None:
    from muse.cli.commands.fetch import fetched_json, print_phases
    from muse.cli.output import clean, counted, human_size
    from muse.objects.ids import format_id
    from muse.remote.address import parse_repository_url
    from muse.remote.clone import clone

    output = context.output
    if options.only and options.branch:
        raise UsageError("bad-arguments", "--only says which branch, too", hint="leave --branch out")
    url = parse_repository_url(options.url)
    with context.hub(url.origin) as hub, context.progress() as progress:
        cloned = clone(
            url,
            context.directory / (options.directory or url.name),
            hub,
            branch=options.only or options.branch,
            only=bool(options.only),
            remote=options.origin,
            checkout=options.checkout,
            user_config=context.config_path,
            operation=context.operation,
            progress=progress,
        )
    repository = context.adopt(cloned.repository)
    refs = cloned.fetched.refs
    branches = sum(name.startswith("heads/") for name in refs)
    tags = sum(name.startswith("tags/") for name in refs)
    head = repository.refs.head().target
    output.say(f'cloned {url} into "{repository.work_dir}"')
    if head is None:
        output.say(f'it is empty; you are on branch "{clean(cloned.branch)}"')
    else:
        fetched = cloned.fetched
        output.say(
            f"{counted(branches, 'branch', 'branches')}, {counted(tags, 'tag')}, "
            f"{counted(fetched.objects, 'object')}, {human_size(fetched.bytes_received)}"
        )
        output.say(f'on branch "{clean(cloned.branch)}"')
    if options.timings:
        print_phases(context, cloned.fetched)
    output.document(
        {
            "path": str(repository.work_dir),
            "url": str(url),
            "branch": cloned.branch,
            "id": format_id(head) if head is not None else None,
            "branches": branches,
            "tags": tags,
            "fetch": fetched_json(cloned.fetched),
        }
    )
