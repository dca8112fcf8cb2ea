"""`musehub version`: which version this is."""

from __future__ import annotations

import argparse

import muse
from musehub.cli.context import print_json
from musehub.cli.parsing import Subparsers


def add_parser(commands: Subparsers, common: argparse.ArgumentParser) -> None:
    parser = commands.add_parser(
        "version",
        parents=[common],
        help="print the version",
        description="Print the version.",
        epilog="example: musehub version --json",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> None:
    if args.json:
        print_json({"version": muse.__version__})
    else:
        print(f"musehub {muse.__version__}")
