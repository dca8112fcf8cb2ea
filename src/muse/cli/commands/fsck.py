"""`muse fsck`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context
    from muse.cli.output import Output
    from muse.store.fsck import Problem
    from muse.store.rebuild import Rebuilt

EXAMPLE = """muse fsck
muse fsck --rebuild"""
JSON = """{"ok": true,
 "rebuilt": null or {"objects": 12, "commits": 3, "refs": 1, "recovered_refs": [], "saved_to": "…",
   "problems": […as below, met on the way…]},
 "problems": [{"code": "corrupt-object", "where": "segment 1, offset 40", "message": "…",
   "kind": null or "blob", "id": null or "sha256:…"}]}"""


def configure(parser: Parser) -> None:
    parser.add_argument(
        "--rebuild", action="store_true", help="make a new database from the segments, then verify"
    )


def run(context: Context, options: Namespace) -> int:
    from muse.cli import exits
    from muse.cli.output import clean, clean_line, counted
    from muse.store.fsck import fsck

    output = context.output
    rebuilt: Rebuilt | None = None
    with context.progress() as progress:
        if options.rebuild:
            from muse.store.rebuild import rebuild

            rebuilt = rebuild(context.find_work_dir(), progress)
        problems = list(fsck(context.repository, progress))
    if rebuilt is not None:
        _say_rebuilt(output, rebuilt)
    for problem in problems:
        output.write(
            f"{output.style(problem.code, 'red')}  {clean_line(problem.where)}: {clean(problem.message)}"
        )
    output.say("everything is as it was stored" if not problems else counted(len(problems), "problem"))
    output.document(
        {
            "ok": not problems,
            "rebuilt": _rebuilt_json(rebuilt) if rebuilt is not None else None,
            "problems": [_problem_json(problem) for problem in problems],
        }
    )
    return exits.CORRUPT if problems else exits.OK


def _say_rebuilt(output: Output, rebuilt: Rebuilt) -> None:
    from muse.cli.output import counted

    output.say(
        f"rebuilt the database: {counted(rebuilt.objects, 'object')}, "
        f"{counted(rebuilt.commits, 'commit')}, {counted(rebuilt.refs, 'ref')}"
    )
    if rebuilt.recovered_refs:
        output.say(f"no ref could be read; made {', '.join(rebuilt.recovered_refs)}")
    for problem in rebuilt.problems:
        output.warning(f"{problem.where}: {problem.message}")
    if rebuilt.saved_to is not None:
        output.say(f'the old one is in "{rebuilt.saved_to}"')


def _rebuilt_json(rebuilt: Rebuilt) -> dict[str, Any]:
    return rebuilt._asdict() | {
        "saved_to": str(rebuilt.saved_to) if rebuilt.saved_to is not None else None,
        "problems": [_problem_json(problem) for problem in rebuilt.problems],
    }


def _problem_json(problem: Problem) -> dict[str, Any]:
    from muse.objects.ids import format_id

    return {
        "code": problem.code,
        "where": problem.where,
        "message": problem.message,
        "kind": problem.kind.word if problem.kind is not None else None,
        "id": format_id(problem.id) if problem.id is not None else None,
    }
