"""`muse diff`."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from muse.cli.patch import CHANGE_JSON

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.cli.patch import FileChange

EXAMPLE = """muse diff
muse diff main~3 --stat
muse diff v1.0..main -- src/mixer"""
JSON = f"""{{"files": [
{CHANGE_JSON}
]}}
with --stat there is no "patch"; with --name-status nothing after "new\""""


def configure(parser: Parser) -> None:
    parser.revisions_and_paths("nothing: HEAD with the work tree; A: A with it; A B or A..B: both; and paths")
    add_format_options(parser)
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 if there are differences")


def add_format_options(parser: Parser) -> None:
    """The choices between patch, statistics and names, for `diff` and `show`."""
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--stat", action="store_true", help="count changed lines per file")
    form.add_argument("--name-status", action="store_true", help="print A, M, D or R and the path only")


def run(context: Context, options: Namespace) -> int:
    from muse.cli.changes import tree_changes, work_changes
    from muse.cli.revisions import split_arguments

    repository = context.repository
    commits, _, paths = split_arguments(context, options.words, limit=2)
    if len(commits) == 2:
        old, new = (repository.graph(commit).tree for commit in commits)
        changes = tree_changes(repository, old, new, paths)
    else:
        base = commits[0] if commits else repository.refs.head().target
        with context.progress() as progress:
            changes = work_changes(repository, repository.graph(base).tree if base else None, paths, progress)
    if context.output.json:
        context.output.document_stream("files", changes_json(context, options, changes))
    else:
        context.output.page()
        print_changes(context, options, changes)
    return 1 if options.exit_code and changes else 0


def changes_json(context: Context, options: Namespace, changes: list[FileChange]) -> Iterator[dict[str, Any]]:
    """Yield the JSON of each change as the format options want it."""
    from muse.cli.patch import change_json, compare, patch_lines

    for change in changes:
        if options.name_status:
            yield change_json(change, None, None)
            continue
        comparison = compare(change)
        patch = (
            None
            if options.stat
            else "".join(f"{line}\n" for line in patch_lines(change, comparison, context.output))
        )
        yield change_json(change, comparison, patch)


def print_changes(context: Context, options: Namespace, changes: list[FileChange]) -> None:
    """Print changes as the format options want it."""
    from muse.cli.patch import compare, patch_lines, stat_lines, status_lines

    output = context.output
    if options.name_status:
        for line in status_lines(changes, output):
            output.write(line)
    elif options.stat:
        for line in stat_lines([(change, compare(change)._replace(hunks=[])) for change in changes], output):
            output.write(line)
    else:
        for change in changes:
            for line in patch_lines(change, compare(change), output):
                output.write(line)
