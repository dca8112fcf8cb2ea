"""Write the documents that are derived from code, or with `--check` say which of them are out of date."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from muse.cli.reference import cli_document
from muse.errors import CATEGORIES
from musehub.settings import settings_reference

ROOT = Path(__file__).resolve().parent.parent

_ERRORS_INTRODUCTION = """\
# Errors

Written by `make docs` from `src/muse/errors.py`; change it there.

Every error has a code that stays the same, a message, sometimes a hint, and says whether doing the same
again can succeed (`retry`). Its class decides the exit code of `muse` and `musehub` and the status of an HTTP
answer. With `--json`, in error frames and in the HTTP API an error is
`{"code": ..., "message": ..., "hint": ..., "retry": ..., "details": {...}}`.
"""


def errors_document() -> str:
    """The table of all error classes and codes."""
    parts = [_ERRORS_INTRODUCTION]
    parts.append("| class | exit code | HTTP status |\n|---|---|---|")
    parts.extend(f"| {c.__name__} | {c.exit_code} | {c.http_status} |" for c in CATEGORIES)
    for category in CATEGORIES:
        parts.append(f"\n## {category.__name__}\n\n| code | meaning |\n|---|---|")
        parts.extend(f"| `{code}` | {meaning} |" for code, meaning in category.codes.items())
    return "\n".join(parts) + "\n"


DOCUMENTS: dict[str, Callable[[], str]] = {
    "docs/cli.md": cli_document,
    "docs/errors.md": errors_document,
    "docs/settings.md": settings_reference,
}
"""Path of each generated document and the function that renders all of it."""


def stale_documents() -> list[str]:
    """The generated documents whose text on disk is not what would be written now."""
    return [
        path
        for path, render in DOCUMENTS.items()
        if not (ROOT / path).is_file() or (ROOT / path).read_text(encoding="utf-8") != render()
    ]


def main(arguments: list[str]) -> int:
    stale = stale_documents()
    if arguments == ["--check"]:
        for path in stale:
            print(f'"{path}" is out of date\nhint: make docs', file=sys.stderr)
        return 1 if stale else 0
    for path in stale:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(DOCUMENTS[path](), encoding="utf-8")
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
