"""`muse git`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.git.results import RefChange

EXAMPLE = """muse git import ../songs-in-git
muse git export ../songs-for-git"""
JSON = """import: {"source": "…", "object_format": "sha1", "commits": 3, "trees": 3, "blobs": 5, "tags": 1,
 "size_bytes": 1234, "refs": [{"name": "heads/main", "git_name": "refs/heads/main", "old": null or "<64 hex>",
   "new": "<64 hex>", "how": "created"}],
 "head": null or "main", "moved_current": true, "shallow": 0,
 "losses": [{"commit": "<git id>", "path": "…", "reason": "…", "result": "…"}]}
export: {"directory": "…", "object_format": "sha1", "created": true, "commits": 3, "trees": 3, "blobs": 5,
 "tags": 1, "size_bytes": 1234, "pack_bytes": 567, "refs": [{…}], "not_exported": {"…": 2}}
how is created, fast-forward, forced, unchanged, ahead, diverged, vanished or pruned"""


def configure(parser: Parser) -> None:
    importer = parser.subcommand(
        "import",
        "bring a Git repository's history here, or what is new of it",
        "muse git import ../songs-in-git --all",
    )
    importer.add_argument("source", metavar="SOURCE", help="a folder, or an address that git can read")
    importer.add_argument("--all", action="store_true", help="every ref, not only branches and tags")
    importer.add_argument("--prune", action="store_true", help="delete imported refs that are gone in Git")
    importer.add_argument(
        "--force", action="store_true", help="overwrite branches that have commits of their own"
    )
    importer.add_argument(
        "--allow-loss",
        action="store_true",
        help="import what has no counterpart as well as can be, and list it",
    )
    exporter = parser.subcommand(
        "export", "write this history into a Git repository", "muse git export ../songs-for-git"
    )
    exporter.add_argument("directory", metavar="DIR", help="the Git repository; made if there is none")
    exporter.add_argument("refs", metavar="REF", nargs="*", help="heads/main, tags/v1 (default: all)")
    exporter.add_argument("--bare", action="store_true", help="make it without a work tree")
    exporter.add_argument("--force", action="store_true", help="move its refs even if commits are lost there")


def run(context: Context, options: Namespace) -> None:
    if options.subcommand == "import":
        _import(context, options)
    else:
        _export(context, options)


def _import(context: Context, options: Namespace) -> None:
    from muse.cli.output import clean_line, counted, human_size
    from muse.git.importer import import_git
    from muse.worktree.checkout import checkout

    repository, output = context.repository, context.output

    with context.progress() as progress:

        def follow(transaction: Any, old: bytes | None, new: bytes) -> None:
            tree = repository.graph(old).tree if old is not None else None
            checkout(repository, transaction, tree, repository.graph(new).tree, False, progress)

        result = import_git(
            repository,
            context.source(options.source),
            all_refs=options.all,
            allow_loss=options.allow_loss,
            prune=options.prune,
            force=options.force,
            operation=context.operation,
            checkout=follow,
            progress=progress,
        )
    for change in result.refs:
        if change.how != "unchanged":
            output.say(_ref_line(change))
    objects = ", ".join(
        counted(number, noun)
        for number, noun in (
            (result.commits, "commit"),
            (result.trees, "tree"),
            (result.blobs, "blob"),
            (result.tags, "tag"),
        )
        if number
    )
    output.say(f"imported {objects}, {human_size(result.size_bytes)}" if objects else "nothing new to import")
    if result.shallow:
        output.warning(f"the source is shallow: {counted(result.shallow, 'commit')} without parents")
    for loss in result.losses:
        where = f"{loss.commit[:12]} {clean_line(loss.path)}".strip()
        output.warning(f"{where}: {loss.reason}; {loss.result}")
    value = result._asdict()
    value["refs"] = [change._asdict() for change in result.refs]
    value["losses"] = [loss._asdict() for loss in result.losses]
    output.document(value)


def _export(context: Context, options: Namespace) -> None:
    from muse.cli.output import counted, human_size
    from muse.git.exporter import export_git

    output = context.output
    with context.progress() as progress:
        result = export_git(
            context.repository,
            context.directory / options.directory,
            refs=options.refs or None,
            bare=options.bare,
            force=options.force,
            progress=progress,
        )
    for change in result.refs:
        if change.how != "unchanged":
            output.say(_ref_line(change))
    total = result.commits + result.trees + result.blobs + result.tags
    if total:
        output.say(
            f"exported {counted(result.commits, 'commit')}, {counted(total, 'object')}, "
            f"{human_size(result.pack_bytes)}"
        )
    else:
        output.say("nothing new to export")
    for what, number in result.not_exported.items():
        output.warning(f"Git has no place for {what}: left out of {counted(number, 'object')}")
    value = result._asdict()
    value["refs"] = [change._asdict() for change in result.refs]
    output.document(value)


def _ref_line(change: RefChange) -> str:
    name = change.name.removeprefix("heads/").replace("tags/", "tag ", 1)
    new = change.new[:12] if change.new else "nothing"
    if change.old is None:
        return f"{name} {change.how} at {new}"
    return f"{name} {change.old[:12]} -> {new} ({change.how})"
