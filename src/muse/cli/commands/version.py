"""`muse version`."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING

from muse import __version__

if TYPE_CHECKING:
    from muse.cli.arguments import Parser
    from muse.cli.context import Context

EXAMPLE = "muse version"
JSON = '{"version": "0.1.0", "python": "3.12.1"}'


def configure(parser: Parser) -> None:
    """No options."""


def run(context: Context, options: Namespace) -> None:
    import sys

    python = ".".join(map(str, sys.version_info[:3]))
    context.output.write(f"muse {__version__}")
    context.output.document({"version": __version__, "python": python})
