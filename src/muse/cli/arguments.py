"""The parser of one command: argparse with our errors, the global options, and an example in the help."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any, NoReturn

from muse.errors import UsageError

EVERY_COMMAND = "options of every command"
COLOR_CHOICES = ("auto", "always", "never")

GLOBAL_OPTIONS: tuple[tuple[str, str], ...] = (
    ("-C DIR", "run as if started in DIR"),
    ("--json", "one JSON document on stdout, errors as JSON on stderr"),
    ("-q, --quiet", "print only what was asked for, no remarks and no progress"),
    ("--no-progress", "never draw progress"),
    ("--color WHEN", "auto, always or never"),
    ("-h, --help", "show help"),
)


class Help(argparse.RawDescriptionHelpFormatter):
    """A fixed width makes help the same everywhere, and spares the import of shutil."""

    def __init__(self, prog: str, **_: Any) -> None:
        super().__init__(prog, max_help_position=28, width=96)

    def _format_action_invocation(self, action: argparse.Action) -> str:
        """Name an option's value once, `-m, --message TEXT`, whatever the version of Python."""
        if not action.option_strings or action.nargs == 0:
            return super()._format_action_invocation(action)
        value = self._format_args(action, self._get_default_metavar_for_optional(action))
        return f"{', '.join(action.option_strings)} {value}"


class Parser(argparse.ArgumentParser):
    """Raises `bad-arguments` instead of ending the process."""

    def __init__(self, *, prog: str, example: str = "", **kwargs: Any) -> None:
        epilog = "example:\n" + "\n".join("  " + line for line in example.strip().split("\n"))
        super().__init__(
            prog=prog,
            formatter_class=Help,
            allow_abbrev=False,
            epilog=epilog if example else None,
            add_help=False,
            **kwargs,
        )
        group = self.add_argument_group(EVERY_COMMAND)
        silent = argparse.SUPPRESS
        group.add_argument("-h", "--help", action="help", help="show this help")
        group.add_argument(
            "-C", dest="start_folder", metavar="DIR", default=silent, help=GLOBAL_OPTIONS[0][1]
        )
        group.add_argument("--json", action="store_true", default=silent, help=GLOBAL_OPTIONS[1][1])
        group.add_argument("-q", "--quiet", action="store_true", default=silent, help=GLOBAL_OPTIONS[2][1])
        group.add_argument(
            "--no-progress", dest="progress", action="store_false", default=silent, help=GLOBAL_OPTIONS[3][1]
        )
        group.add_argument(
            "--color", choices=COLOR_CHOICES, metavar="WHEN", default=silent, help=GLOBAL_OPTIONS[4][1]
        )
        self.color = False  # of help, from Python 3.14 on
        self._subcommands: Any = None
        self._separates = False
        self.default_subcommand: str | None = None

    def format_usage(self) -> str:
        """Also what the standard library keeps before it hides the positional arguments for a while."""
        return f"usage: {self._make_usage()}\n"

    def format_help(self) -> str:
        self.usage = self.usage or self._make_usage()
        return super().format_help()

    def _make_usage(self) -> str:
        """Write what the positional arguments are; the options are listed below it."""
        words = [self.prog, "[OPTIONS]"]
        for action in self._get_positional_actions():
            name = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
            if action.nargs == argparse.PARSER:
                words.append("SUBCOMMAND ...")
            elif action.nargs == "*":
                words.append(f"[{name}]" if " " in name else f"[{name} ...]")
            elif action.nargs == "+":
                words.append(f"{name} [{name} ...]")
            else:
                words.append(f"[{name}]" if action.nargs == "?" else name)
        return " ".join(words)

    def subcommand(self, name: str, summary: str, example: str) -> Parser:
        """Add `muse <command> <name>`; the parsed namespace has its name as `subcommand`."""
        if self._subcommands is None:
            self._subcommands = self.add_subparsers(
                dest="subcommand", metavar="SUBCOMMAND", prog=self.prog, title="subcommands"
            )
        parser: Parser = self._subcommands.add_parser(
            name, prog=f"{self.prog} {name}", help=summary, description=summary, example=example
        )
        return parser

    @property
    def subcommands(self) -> dict[str, Parser]:
        return dict(self._subcommands.choices) if self._subcommands is not None else {}

    def revisions_and_paths(self, help: str) -> None:
        """Take words that `muse.cli.revisions.split_arguments` sorts; what follows `--` are paths."""
        self.add_argument("words", metavar="REVISION|PATH", nargs="*", help=help)
        self._separates = True

    def parse(self, arguments: Sequence[str], namespace: argparse.Namespace) -> argparse.Namespace:
        """Parse; options may stand between positional arguments."""
        if self._subcommands is not None:
            self._check_subcommand(arguments)
            parsed = self.parse_args(arguments, namespace)
            if parsed.subcommand is None:
                if self.default_subcommand is None:
                    self.error(f"say what to do: {', '.join(self._subcommands.choices)}")
                parsed.subcommand = self.default_subcommand
            return parsed
        namespace.after_separator = None
        if self._separates and "--" in arguments:
            place = list(arguments).index("--")
            arguments, namespace.after_separator = arguments[:place], list(arguments[place + 1 :])
        return self.parse_intermixed_args(arguments, namespace)

    def _check_subcommand(self, arguments: Sequence[str]) -> None:
        """Raise for a subcommand that does not exist, with the nearest one that does."""
        before = ""
        for word in arguments:
            if not word.startswith("-") and before not in ("-C", "--color"):
                break
            before = word
        else:
            return
        if word in self._subcommands.choices:
            return
        from difflib import get_close_matches

        close = get_close_matches(word, self._subcommands.choices, n=1)
        names = close or list(self._subcommands.choices)
        hint = ("did you mean " if close else "there is ") + ", ".join(
            f"{self.prog} {name}" for name in names
        )
        raise UsageError("bad-arguments", f'there is no command "{self.prog} {word}"', hint=hint)

    def error(self, message: str) -> NoReturn:
        raise UsageError("bad-arguments", message, hint=f"{self.prog} --help shows how it is used")
