"""`musehub worker`: run jobs in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys

from musehub.cli.context import print_json, read_settings
from musehub.cli.parsing import Subparsers


def add_parser(commands: Subparsers, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "worker",
        parents=[common],
        help="run jobs beside the hub",
        description="Run jobs from the hub's queue until Ctrl-C or SIGTERM. Any number of workers may run "
        "on any machine that reaches the database and the store; the setting `workers` says how many "
        "jobs each runs at a time. With `workers` 0 the hub itself runs none.",
        epilog="example: musehub worker --data /srv/musehub --set workers=2",
    )
    parser.add_argument(
        "--metrics-port", metavar="PORT", type=int, help="answer /metrics on this port of 127.0.0.1"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    settings = read_settings(args)
    from musehub.app.worker import work
    from musehub.telemetry.logs import configure_logging

    configure_logging(settings.log_format)

    def announce(name: str, address: str | None) -> None:
        if args.json:
            print_json({"worker": name, "metrics": address})
        else:
            print(f"musehub: worker {name} is at work" + (f", metrics at {address}" if address else ""))
        sys.stdout.flush()

    asyncio.run(work(settings, announce, metrics_port=args.metrics_port))
