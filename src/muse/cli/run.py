"""Dispatch of one command line: global options, the command's module, errors and exit codes."""

from __future__ import annotations

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol, cast

from muse.cli import exits
from muse.cli.arguments import COLOR_CHOICES, GLOBAL_OPTIONS, Parser
from muse.cli.catalog import COMMANDS, GROUPS, HABITS, module_name
from muse.cli.output import ClosedPipe, Output
from muse.errors import AccessDenied, Environment, InternalError, MuseError, UsageError

if TYPE_CHECKING:
    from muse.cli.context import Context


TOKEN_REFUSALS = ("bad-credentials", "token-expired", "token-revoked")


class Command(Protocol):
    """What every module in `muse.cli.commands` offers."""

    EXAMPLE: str
    JSON: str

    def configure(self, parser: Parser) -> None: ...

    def run(self, context: Context, options: Namespace) -> int | None: ...


def run(
    arguments: list[str], environment: Mapping[str, str] | None = None, now: Callable[[], float] | None = None
) -> int:
    """Run one command line; every outcome becomes an exit code and, if it is an error, text on stderr."""
    environment = os.environ if environment is None else environment
    before_paths = arguments[: arguments.index("--")] if "--" in arguments else arguments
    output = Output(json="--json" in before_paths, environment=environment)
    try:
        try:
            code = _dispatch(arguments, output, environment, now or time.time)
        finally:
            output.close()
        return code
    except KeyboardInterrupt:
        return exits.INTERRUPTED
    except ClosedPipe:
        output.abandon()
        return exits.OK if output.paging else exits.CLOSED_PIPE
    except Exception as error:
        known = as_muse_error(error)
        output.abandon_if_broken()
        try:
            output.error(known)
            if environment.get("MUSE_TRACEBACK"):
                import traceback

                traceback.print_exception(error, file=sys.stderr)
        except (OSError, ClosedPipe):
            pass
        return known.exit_code


def as_muse_error(error: Exception) -> MuseError:
    """Give every exception a code: the system's errors are the environment's, all others are defects."""
    if isinstance(error, MuseError):
        return error
    if isinstance(error, OSError) and error.errno is not None:
        from errno import EACCES, EDQUOT, EMFILE, ENFILE, ENOSPC, EPERM, EROFS

        reason = error.strerror or str(error)
        name = (
            error.filename.decode(errors="replace") if isinstance(error.filename, bytes) else error.filename
        )
        text = f'"{name}": {reason.lower()}' if name is not None else reason.lower()
        if error.errno in (ENOSPC, EDQUOT):
            return Environment(
                "disk-full", text, hint="free some space, then run the same command again", retry=True
            )
        if error.errno in (EROFS, EACCES, EPERM):
            return Environment("read-only", text)
        if error.errno in (EMFILE, ENFILE):
            return Environment(
                "io-error", text, hint="raise the limit of open files: ulimit -n 4096", retry=True
            )
        return Environment("io-error", text)
    return InternalError(
        "internal",
        f"{type(error).__name__}: {error}".rstrip(": "),
        hint="this is a defect of muse; MUSE_TRACEBACK=1 muse ... shows where it happened",
    )


def _dispatch(
    arguments: list[str], output: Output, environment: Mapping[str, str], now: Callable[[], float]
) -> int:
    options, command, rest = split_command(arguments)
    output.set_color(options.color)
    output.quiet = options.quiet
    if command == "help":
        command, rest = (rest[0], ["--help"]) if rest else (None, rest)
        options.help = command is None
    if options.version:
        command, rest = "version", []
    if command is None:
        if not options.help:
            sys.stderr.write(help_text())
            return exits.USAGE
        output.write(help_text(), end="")
        output.document({"commands": COMMANDS})
        return exits.OK
    if command not in COMMANDS:
        raise unknown_command(command)
    return run_command(command, rest, options, output, environment, now)


def load_command(command: str) -> Command:
    from importlib import import_module

    return cast(Command, import_module(module_name(command)))


def build_parser(command: str, module: Command) -> Parser:
    summary = COMMANDS[command]
    parser = Parser(prog=f"muse {command}", description=summary, example=module.EXAMPLE)
    module.configure(parser)
    return parser


def run_command(
    command: str,
    rest: list[str],
    options: Namespace,
    output: Output,
    environment: Mapping[str, str],
    now: Callable[[], float],
) -> int:
    module = load_command(command)
    try:
        options = build_parser(command, module).parse(rest, options)
    except SystemExit:  # --help has been printed
        return exits.OK
    except BrokenPipeError:
        raise ClosedPipe from None
    output.set_color(options.color)
    output.quiet = options.quiet
    from muse.cli.context import Context

    line = ["muse", command, *rest]
    with Context(options, output, environment, now, line) as context:
        try:
            return module.run(context, options) or exits.OK
        except AccessDenied as refusal:
            if context.token_is_given and refusal.code in TOKEN_REFUSALS:
                refusal.hint = "this is the token in MUSE_TOKEN: unset that, or put a valid one there"
            raise


def split_command(arguments: list[str]) -> tuple[Namespace, str | None, list[str]]:
    """Take the global options that stand before the command; return them, the command, and the rest."""
    options = Namespace(
        start_folder=None, json=False, quiet=False, progress=True, color="auto", help=False, version=False
    )
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        word = rest.pop(0)
        name, equals, value = word.partition("=") if word.startswith("--") else (word[:2], word[2:], word[2:])
        if name in ("-C", "--color"):
            if not equals:
                if not rest:
                    raise UsageError(
                        "bad-arguments", f'"{name}" needs a value', hint="muse --help lists the options"
                    )
                value = rest.pop(0)
            if name == "-C":
                options.start_folder = os.path.join(options.start_folder or "", value)
            elif value in COLOR_CHOICES:
                options.color = value
            else:
                raise UsageError("bad-arguments", f'"--color" is auto, always or never, not "{value}"')
        elif word == "--json":
            options.json = True
        elif word in ("-q", "--quiet"):
            options.quiet = True
        elif word == "--no-progress":
            options.progress = False
        elif word in ("-h", "--help"):
            options.help = True
        elif word in ("-V", "--version"):
            options.version = True
        else:
            raise UsageError(
                "bad-arguments", f'unknown option "{word}"', hint="muse --help lists the options"
            )
    if options.help:
        return options, None, rest
    return options, (rest[0] if rest else None), rest[1:]


def unknown_command(command: str) -> UsageError:
    """Say what was probably meant."""
    message = f'there is no command "{command}"'
    if command in HABITS:
        return UsageError("bad-arguments", message, hint=HABITS[command])
    from difflib import get_close_matches

    close = get_close_matches(command, COMMANDS, n=3, cutoff=0.6)
    if close:
        return UsageError(
            "bad-arguments", message, hint="did you mean " + " or ".join(f"muse {c}" for c in close)
        )
    return UsageError("bad-arguments", message, hint="muse --help lists the commands")


def help_text() -> str:
    """What `muse --help` prints; imports no command."""
    lines = ["usage: muse [OPTIONS] COMMAND [ARGUMENTS]", "", "version control of anything", ""]
    for title, group in GROUPS.items():
        lines.append(f"{title}:")
        lines.extend(f"  {name:<14}{summary}" for name, summary in group.items())
        lines.append("")
    lines.append("options, before or after the command:")
    lines.extend(f"  {option:<16}{summary}" for option, summary in GLOBAL_OPTIONS)
    lines.append(f"  {'-V, --version':<16}show the version")
    lines += ["", "muse COMMAND --help explains a command and shows an example"]
    return "\n".join(lines) + "\n"
