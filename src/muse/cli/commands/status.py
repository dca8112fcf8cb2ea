"""`muse status`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.cli.output import Output
    from muse.store.repository import Repository
    from muse.store.tracking import Upstream
    from muse.worktree.status import Modified, Status

EXAMPLE = """muse status
muse status src/mixer --ignored"""
JSON = """{"branch": "main" or null, "head": "sha256:… or null", "clean": false,
 "upstream": null or {"name": "origin/main", "id": "sha256:…", "ahead": 1, "behind": 0},
 "added": ["new.txt"], "modified": [{"path": "a.txt", "content": true, "executable": false, "type": false}],
 "deleted": ["old.txt"], "renamed": [{"old_path": "b.txt", "path": "c.txt"}],
 "unfinished": null or {"message": "…", "hint": "…"},
 "problems": [{"path": "pipe", "reason": "special-file", "message": "…"}],
 "collisions": [["A.txt", "a.txt"]], "ignored": null or ["build/"]}"""


def configure(parser: Parser) -> None:
    parser.add_argument("paths", metavar="PATH", nargs="*", help="look at these only")
    parser.add_argument("--ignored", action="store_true", help="list what ignore rules leave out, too")


def run(context: Context, options: Namespace) -> None:
    from muse.cli.revisions import tree_path
    from muse.store.tracking import find_upstream
    from muse.store.unfinished import find_unfinished
    from muse.worktree.status import status

    repository, output = context.repository, context.output
    paths = [tree_path(context, path) for path in options.paths] or None
    head = repository.refs.head()
    mark = find_unfinished(repository.muse_dir)
    unfinished = None if mark is None else (mark.message, mark.hint(repository.work_dir, head.branch))
    with context.progress() as progress:
        found = status(repository, paths, with_ignored=options.ignored, progress=progress)
    upstream = find_upstream(repository, head.branch) if head.branch is not None else None
    if output.json:
        output.document(_status_json(repository, found, upstream, unfinished))
        return
    _write_head(context, upstream)
    _write_changes(output, found)
    if unfinished is not None:
        output.warning(*unfinished)
    elif found.is_clean:
        output.write("nothing changed since the last commit" if head.target else "nothing to commit yet")
    for item in found.problems:
        output.warning(_text(item.message))
    for first, second in found.collisions:
        output.warning(
            f'"{first}" and "{second}" differ only by case or Unicode form',
            "rename one of them, or some computers cannot check both out",
        )


def _status_json(
    repository: Repository, found: Status, upstream: Upstream | None, unfinished: tuple[str, str] | None
) -> dict[str, Any]:
    head = repository.refs.head()
    return {
        "branch": head.branch,
        "head": _id(head.target),
        "clean": found.is_clean,
        "upstream": _upstream_json(repository, upstream, head.target),
        "added": found.added,
        "modified": [change._asdict() for change in found.modified],
        "deleted": found.deleted,
        "renamed": [{"old_path": old, "path": new} for old, new in found.renamed],
        "unfinished": {"message": unfinished[0], "hint": unfinished[1]} if unfinished is not None else None,
        "problems": [
            {"path": _text(item.path), "reason": item.reason, "message": item.message}
            for item in found.problems
        ],
        "collisions": [list(pair) for pair in found.collisions],
        "ignored": found.ignored,
    }


def _write_changes(output: Output, found: Status) -> None:
    from muse.cli.output import clean_line

    for path in found.added:
        output.write(f"  {output.style('A', 'green')}  {clean_line(path)}")
    for change in found.modified:
        output.write(f"  {output.style('M', 'yellow')}  {clean_line(change.path)}{_remark(change)}")
    for path in found.deleted:
        output.write(f"  {output.style('D', 'red')}  {clean_line(path)}")
    for old, new in found.renamed:
        output.write(f"  {output.style('R', 'cyan')}  {clean_line(old)} -> {clean_line(new)}")
    if found.ignored:
        output.write("ignored:")
        for path in found.ignored:
            output.write(f"  {output.style('!', 'dim')}  {clean_line(path)}")


def _write_head(context: Context, upstream: Upstream | None) -> None:
    from muse.cli.output import clean
    from muse.objects.ids import short_id

    repository, output = context.repository, context.output
    head = repository.refs.head()
    if head.branch is None:
        output.write(output.style(f"detached at {short_id(head.target or b'')}", "bold"))
        return
    line = f"on branch {output.style(clean(head.branch), 'bold')}"
    if head.target is None:
        line += ", no commits yet"
    elif upstream is not None and upstream.target is not None:
        ahead, behind = _ahead_behind(repository, head.target, upstream.target)
        parts = [f"{ahead} ahead of"] * (ahead > 0) + [f"{behind} behind"] * (behind > 0)
        line += f", {' and '.join(parts) if parts else 'level with'} {clean(upstream.short_name)}"
    output.write(line)


def _ahead_behind(repository: Repository, ours: bytes, theirs: bytes) -> tuple[int, int]:
    from muse.history.walk import count_ahead_behind

    return (0, 0) if ours == theirs else count_ahead_behind(repository.graph, ours, theirs)


def _upstream_json(
    repository: Repository, upstream: Upstream | None, ours: bytes | None
) -> dict[str, Any] | None:
    if upstream is None or upstream.target is None or ours is None:
        return None
    ahead, behind = _ahead_behind(repository, ours, upstream.target)
    return {"name": upstream.short_name, "id": _id(upstream.target), "ahead": ahead, "behind": behind}


def _id(object_id: bytes | None) -> str | None:
    from muse.objects.ids import format_id

    return format_id(object_id) if object_id is not None else None


def _text(path: str) -> str:
    """Make a name printable that is not valid UTF-8 on disk."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _remark(change: Modified) -> str:
    if change.type:
        return "  (another kind of file)"
    if change.executable:
        return "  (executable bit)" if not change.content else "  (and the executable bit)"
    return ""
