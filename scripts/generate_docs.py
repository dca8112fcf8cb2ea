"""Write the documents that are derived from code, or with `--check` say which of them are out of date."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from muse.cli.reference import cli_document
from muse.errors import CATEGORIES
from musehub.settings import settings_reference
from musehub.telemetry.metrics import metrics_table

ROOT = Path(__file__).resolve().parent.parent

_ERRORS_INTRODUCTION = """\
# Errors

Written by `make docs` from `src/muse/errors.py`; change it there.

Every error has a code that stays the same, a message, sometimes a hint, and says whether doing the same
again can succeed (`retry`). Its class decides the exit code of `muse` and `musehub` and the status of an HTTP
answer. With `--json`, in error frames and in the HTTP API an error is
`{"code": ..., "message": ..., "hint": ..., "retry": ..., "details": {...}}`.
"""


_METRICS_INTRODUCTION = """\
# Metrics, timelines, logs, health

Written by `make docs`; the table comes from `src/musehub/telemetry/metrics.py`.

## Metrics

`/metrics` answers in the text format of Prometheus. With the setting `metrics_token` it takes that token
(`Authorization: Bearer …`); without, it answers only requests that come from the machine itself and through
no proxy. Each process counts for itself: scrape every hub process, and every worker started with
`--metrics-port`; the queue is that of the database, the same in all of them.

"""

_METRICS_REST = """
## Timelines

Every push has a timeline, kept with it, shown on its page, by `muse push --timings` and in the log, and
summed up in the metrics. Its *phases* are disjoint: at each moment the clock runs for exactly one of them, so
they add up to `total_s`, which begins with the request of the stream and ends when the receipt is complete.
`other` is what belongs to no named phase. The row with the timeline itself is written after that, in a
transaction of its own (`note timeline`).

Large pushes upload packs before the stream begins and while it waits. What the hub does for them – reading
each pack back, hashing, recording – happens in other requests, several at once and *overlapped* with the
upload. It is therefore a timeline of its own, `uploads`, whose phases add up to `uploads.s`, and no part of
`total_s`: adding the two would count the same seconds twice. `longest_transaction_s`, statements and store
calls are kept for both. Streams that carried objects before the last one, while packs were still uploaded,
are summed up in the same way as `parts`. Each of them is a push of outcome `part` in the metrics and in the
log.

## Logs

One line on stderr per push, fetch, job and request; the setting `log_format` chooses `text` or `json`. A line
holds push and repository id, actor, outcome, durations; a defect has an incident number, which the client was
told, and a trace. Queries of addresses are never logged, and what looks like a token, a password in a URL, a
signature or a credential is replaced by `…`. `/health`, `/ready`, `/metrics` and static files are not logged.

## Health

`/health` says that the process answers. `/ready` asks the database, compares its tables with this version,
and writes a few bytes to the store; it answers 503 and which part fails if the hub cannot do its work.
"""


def metrics_document() -> str:
    """All metrics, and what else the hub says about itself."""
    return _METRICS_INTRODUCTION + metrics_table() + _METRICS_REST


def errors_document() -> str:
    """The table of all error classes and codes."""
    parts = [_ERRORS_INTRODUCTION]
    parts.append("| class | exit code | HTTP status |\n|---|---|---|")
    parts.extend(f"| {c.__name__} | {c.exit_code} | {c.http_status} |" for c in CATEGORIES)
    for category in CATEGORIES:
        parts.append(f"\n## {category.__name__}\n\n| code | HTTP status | meaning |\n|---|---|---|")
        statuses = category.statuses
        parts.extend(
            f"| `{code}` | {statuses.get(code, category.http_status)} | {meaning} |"
            for code, meaning in category.codes.items()
        )
    return "\n".join(parts) + "\n"


DOCUMENTS: dict[str, Callable[[], str]] = {
    "docs/cli.md": cli_document,
    "docs/errors.md": errors_document,
    "docs/metrics.md": metrics_document,
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
