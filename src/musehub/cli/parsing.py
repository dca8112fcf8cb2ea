"""The parser of the `musehub` command: help that keeps its examples whole, errors of ours."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from muse.errors import UsageError

Subparsers = Any
"""argparse does not export the type of what `add_subparsers` returns."""


class Help(argparse.HelpFormatter):
    """Wraps descriptions, and leaves the lines of examples as they are: somebody will copy them."""

    def __init__(self, prog: str, **_: Any) -> None:
        super().__init__(prog, max_help_position=28, width=96)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        if text.startswith("example"):
            return "".join(indent + line for line in text.splitlines(keepends=True))
        return super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """Says what is wrong as an error of ours, and leaves exiting to `main`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"formatter_class": Help, **kwargs})

    def error(self, message: str) -> NoReturn:
        raise UsageError("bad-arguments", message, hint=f"see `{self.prog} --help`")


def parse_positive(text: str) -> int:
    """The type of an argument that counts something."""
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f'"{text}" is not a number from 1 on')
    return number


def add_action(
    actions: Subparsers, common: argparse.ArgumentParser, name: str, what: str, example: str
) -> argparse.ArgumentParser:
    """Add `musehub COMMAND name`, with one line of help and an example."""
    parser: argparse.ArgumentParser = actions.add_parser(
        name,
        parents=[common],
        help=what,
        description=what[0].upper() + what[1:] + ".",
        epilog=f"example: {example}",
    )
    return parser
