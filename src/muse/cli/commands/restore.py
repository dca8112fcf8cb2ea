"""`muse restore`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context

EXAMPLE = """muse restore notes/readme.md
muse restore --source main~2 src/mixer
muse restore ."""
JSON = '{"source": "sha256:… or null", "written": 3, "deleted": 0, "unchanged": 12}'


def configure(parser: Parser) -> None:
    parser.add_argument(
        "paths", metavar="PATH", nargs="+", help="files and folders; local changes in them are lost"
    )
    parser.add_argument("-s", "--source", metavar="REVISION", help="take them from there (default: HEAD)")


def run(context: Context, options: Namespace) -> None:
    from muse.cli.output import counted
    from muse.cli.revisions import resolve, tree_path
    from muse.objects.ids import format_id
    from muse.worktree.checkout import restore

    repository, output = context.repository, context.output
    source = resolve(context, options.source) if options.source else repository.refs.head().target
    tree = repository.graph(source).tree if source is not None else None
    paths = [tree_path(context, path) for path in options.paths]
    with context.progress() as progress:
        result = restore(repository, paths, tree, progress=progress)
    deleted = f", {counted(result.deleted, 'file')} deleted" if result.deleted else ""
    output.say(f"{counted(result.written, 'file')} restored{deleted}")
    output.document(
        {
            "source": format_id(source) if source is not None else None,
            "written": result.written,
            "deleted": result.deleted,
            "unchanged": result.unchanged,
        }
    )
