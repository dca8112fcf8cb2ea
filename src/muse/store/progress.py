"""How far something is, for whoever wants to show it; the command line draws it."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, int, "int | None", str], None]
"""progress(phase, done, total or None, unit); may be called from several threads, but never from two at once.
"""


def silent(phase: str, done: int, total: int | None, unit: str) -> None:
    """Show nothing."""
