"""The `musehub` command: reads the command line, runs one subcommand, maps every outcome to an exit code."""

from __future__ import annotations

import argparse
import json
import os
import sys
import traceback

from muse.errors import InternalError, MuseError, UsageError
from musehub.cli import (
    backup,
    fsck,
    gc,
    jobs,
    migrate,
    quota,
    repo,
    restore,
    serve,
    token,
    user,
    version,
    worker,
)
from musehub.cli.parsing import Parser

_COMMANDS = (
    serve,
    worker,
    migrate,
    user,
    token,
    repo,
    quota,
    jobs,
    gc,
    fsck,
    backup,
    restore,
    version,
)


def build_parser() -> argparse.ArgumentParser:
    """The whole command line."""
    common = argparse.ArgumentParser(add_help=False)
    group = common.add_argument_group("options of every command")
    group.add_argument("--json", action="store_true", help="write results and errors as JSON")
    group.add_argument("--data", metavar="DIR", help="data folder (default: ~/.local/share/musehub)")
    group.add_argument("--config", metavar="FILE", help="TOML file with settings")
    group.add_argument(
        "--database",
        "--database-url",
        dest="database_url",
        metavar="URL",
        help="another database than the embedded one: postgresql://USER:PASSWORD@HOST:PORT/NAME",
    )
    group.add_argument(
        "--store",
        "--store-url",
        dest="store_url",
        metavar="URL",
        help="another object store than the embedded one: s3://BUCKET?endpoint=URL",
    )
    group.add_argument(
        "--set",
        metavar="NAME=VALUE",
        action="append",
        default=[],
        help="any setting of docs/settings.md; may be repeated",
    )
    parser = Parser(prog="musehub", description="A self-hosted hub for version control of anything.")
    parser.add_argument("--version", action="store_true", help="print the version")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", parser_class=Parser)
    for module in _COMMANDS:
        module.add_parser(commands, common)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    as_json = "--json" in arguments
    try:
        parser = build_parser()
        args = parser.parse_args(arguments)
        if args.version:
            args = parser.parse_args(["version"])
        if args.command is None:
            parser.print_help(sys.stderr)
            return UsageError.exit_code
        args.run(args)
        sys.stdout.flush()
    except BrokenPipeError:
        # Keep the interpreter from complaining about output that nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        return 141
    except MuseError as error:
        _print_error(error, as_json)
        return error.exit_code
    except Exception as error:
        traceback.print_exc()
        defect = InternalError("internal", f"musehub failed: {type(error).__name__}")
        _print_error(defect, as_json)
        return defect.exit_code
    except SystemExit as stop:  # --help
        return stop.code if isinstance(stop.code, int) else 0
    except KeyboardInterrupt:
        return 130
    return 0


def _print_error(error: MuseError, as_json: bool) -> None:
    """With its notes: what only the operator may see."""
    cause, hint = "\n".join(getattr(error, "__notes__", ())), error.hint
    if as_json:
        shown = error.to_json()
        if cause:
            shown["details"] = {**error.details, "cause": cause}
        print(json.dumps({"error": shown}), file=sys.stderr)
        return
    print(f"error[{error.code}]: {error.message}", file=sys.stderr)
    if cause:
        print(f"cause: {cause}", file=sys.stderr)
    if error.code == "database-unavailable":  # its own hint is for somebody who pushes
        hint = "is the database running, and is `database_url` right?"
    if hint:
        print(f"hint: {hint}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
