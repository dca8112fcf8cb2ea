"""`muse gc`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context

EXAMPLE = """muse gc --dry-run
muse gc --grace-days 3"""
JSON = """{"dry_run": false, "dead_objects": 12, "dead_bytes": 3456, "live_objects": 100, "live_bytes": 65432,
 "expired_operations": 2, "segments_removed": 1, "segments_rewritten": 1, "freed_bytes": 4000}"""


def configure(parser: Parser) -> None:
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be removed")
    parser.add_argument(
        "--grace-days", metavar="DAYS", type=float, help="keep what can be undone for so long (default: 14)"
    )


def run(context: Context, options: Namespace) -> None:
    from muse.cli.output import counted, human_size
    from muse.store.gc import GRACE_DAYS, gc

    output = context.output
    grace_days = options.grace_days if options.grace_days is not None else GRACE_DAYS
    with context.progress() as progress:
        result = gc(context.repository, options.dry_run, grace_days=grace_days, progress=progress)
    would = "would remove" if result.dry_run else "removed"
    output.say(f"{would} {counted(result.dead_objects, 'object')}, {human_size(result.dead_bytes)}")
    if result.expired_operations:
        output.say(f"{counted(result.expired_operations, 'operation')} can no longer be undone")
    output.say(f"{human_size(result.freed_bytes)} of files {'would be' if result.dry_run else 'were'} freed")
    output.say(f"{counted(result.live_objects, 'object')} stay, {human_size(result.live_bytes)}")
    output.document(result._asdict())
