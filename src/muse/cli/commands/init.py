"""`muse init`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context

EXAMPLE = "muse init songs\nmuse init --branch trunk"
JSON = '{"path": "/home/ada/songs", "branch": "main"}'


def configure(parser: Parser) -> None:
    parser.add_argument(
        "path", metavar="DIR", nargs="?", default=".", help="the folder; made if need be (default: here)"
    )
    parser.add_argument("-b", "--branch", metavar="NAME", help="name of the first branch (default: main)")


def run(context: Context, options: Namespace) -> None:
    from muse.store.repository import Repository

    branch = options.branch or "main"
    path = context.directory / options.path
    path.mkdir(parents=True, exist_ok=True)
    with Repository.init(path, branch) as repository:
        context.output.say(f'new repository "{repository.work_dir}" on branch "{branch}"')
        context.output.document({"path": str(repository.work_dir), "branch": branch})
