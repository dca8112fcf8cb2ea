"""`musehub jobs`: the queue of jobs, and the list of those that failed for good."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from musehub.cli.context import opened_database, print_json
from musehub.cli.parsing import Subparsers, add_action, parse_positive


def add_parser(commands: Subparsers, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "jobs",
        help="list, retry and discard jobs",
        description="Look after the queue of jobs. Works on the database, whether or not the hub is running.",
        epilog="example: musehub jobs list --state dead",
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = add_action(actions, common, "list", "list jobs, newest first", "musehub jobs list --state dead")
    listing.add_argument(
        "--state",
        choices=("open", "dead", "done", "discarded", "all"),
        default="open",
        help="default: open, which are those that wait or run",
    )
    listing.add_argument(
        "--limit", metavar="N", type=parse_positive, default=100, help="at most so many (default: 100)"
    )
    listing.set_defaults(run=_list)
    for name, what, run in (
        ("retry", "run a job again now", _retry),
        ("discard", "take a job off the queue or off the dead ones", _discard),
    ):
        action = add_action(actions, common, name, what, f"musehub jobs {name} 17")
        action.add_argument("job", type=int, metavar="JOB", help="its number")
        action.set_defaults(run=run)


def _run(args: argparse.Namespace, work: Callable[[Any], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        from musehub.db.instants import utc_now
        from musehub.jobs.admin import Queue

        async with opened_database(args) as database:
            return await work(Queue(database, utc_now))

    return asyncio.run(main())


def _list(args: argparse.Namespace) -> None:
    async def work(queue: Any) -> tuple[list[Any], dict[int, str]]:
        jobs = await queue.list(args.state, limit=args.limit)
        return jobs, {} if args.json else await queue.load_repository_names(jobs)

    jobs, names = _run(args, work)
    if args.json:
        print_json({"jobs": [job._asdict() for job in jobs]})
        return
    if not jobs:
        print("no job waits or runs" if args.state == "open" else "there is none")
    for job in jobs:
        state = job.outcome or ("running" if job.worker else "waiting")
        where = "the whole hub"
        if job.repository_id is not None:
            where = names.get(job.repository_id, f"repository {job.repository_id}, which is gone")
        print(f"{job.id:>8} {job.kind:<14} {state:<10} {job.attempts:>3}x  {where}")
        if job.last_error:
            print(f"         {job.last_error}")


def _retry(args: argparse.Namespace) -> None:
    _report(args, _run(args, lambda queue: queue.retry(args.job)), "will run again now")


def _discard(args: argparse.Namespace) -> None:
    _report(args, _run(args, lambda queue: queue.discard(args.job)), "is discarded")


def _report(args: argparse.Namespace, job: Any, done: str) -> None:
    if args.json:
        print_json({"job": job._asdict()})
    else:
        print(f"job {job.id} of kind {job.kind} {done}")
