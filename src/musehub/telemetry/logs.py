"""Log lines: one per request, push, fetch and job, as text or JSON, without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

from musehub.fetch.service import FetchEvent
from musehub.jobs.attempt import JobRecord
from musehub.push.event import FAILED, PushEvent

HIDDEN = "…"
_SECRETS = re.compile(
    r"(?P<token>\bmht_)[A-Za-z0-9_-]+"
    r"|(?P<user>://[^\s:/@]+:)[^\s@/]+(?=@)"
    r"|(?P<query>[?&](?:signature|token|secret|X-Amz-Signature|X-Amz-Credential|X-Amz-Security-Token)=)[^\s&\"']+"
    r"|(?P<header>\b(?:Bearer|Basic)\s+)[A-Za-z0-9+/=._~-]+",
    re.IGNORECASE,
)

requests = logging.getLogger("musehub.requests")
pushes = logging.getLogger("musehub.push")
fetches = logging.getLogger("musehub.fetch")
jobs = logging.getLogger("musehub.jobs")


def redact(text: str) -> str:
    """Hide what looks like a token, a password in a URL, a signature or a credential."""

    def hide(found: re.Match[str]) -> str:
        return "".join(part for part in found.groupdict().values() if part) + HIDDEN

    return _SECRETS.sub(hide, text)


class JsonFormatter(logging.Formatter):
    """One JSON object per line: time, level, logger, message, and the fields of the event."""

    def format(self, record: logging.LogRecord) -> str:
        value: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            value["trace"] = self.formatException(record.exc_info)
        # Redacted value by value: a pattern must not swallow a quote of the JSON.
        return json.dumps(_redact_all(value), ensure_ascii=False, default=str)


class TextFormatter(logging.Formatter):
    """The message and `key=value` for the fields."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        pairs = [f"{key}={_plain(value)}" for key, value in _fields(record).items() if value is not None]
        if pairs:
            head, newline, trace = text.partition("\n")
            text = f"{head} {' '.join(pairs)}{newline}{trace}"
        return redact(text)


def configure_logging(log_format: str) -> None:
    """Send the log of this process to stderr in the chosen form; done once, by a command."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter() if log_format == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("musehub").setLevel(logging.INFO)


def log_push(event: PushEvent) -> None:
    timeline = event.timeline
    fields = {
        "push_id": event.push_id.hex() if event.push_id else None,
        "repository": event.repository,
        "repository_id": event.repository_id,
        "actor": event.actor.name or None,
        "actor_kind": event.actor.kind,
        "outcome": event.outcome,
        "code": event.code,
        "seconds": timeline.get("total_s"),
        "phases": {phase["name"]: phase["s"] for phase in timeline.get("phases", ())},
        "longest_transaction_s": timeline.get("longest_transaction_s"),
        "statements": timeline.get("statements"),
        "counts": dict(event.counts),
    }
    level = logging.WARNING if event.outcome == FAILED else logging.INFO
    pushes.log(level, "push", extra={"fields": fields})


def log_job(record: JobRecord) -> None:
    fields = record._asdict() | {"seconds": round(record.seconds, 6)}
    level = logging.INFO if record.outcome in ("done", "dropped") else logging.WARNING
    jobs.log(level, "job", extra={"fields": fields})


def log_fetch(event: FetchEvent) -> None:
    fields = {
        "repository": event.repository.full_name,
        "repository_id": event.repository.id,
        "actor": event.actor.name or None,
        "actor_kind": event.actor.kind,
        "outcome": event.outcome,
        "code": event.code,
        "seconds": round(event.seconds, 6),
        "counts": dict(event.counts),
    }
    fetches.info("fetch", extra={"fields": fields})


_WATCHING = frozenset({"/health", "/ready", "/metrics"})


def log_request(method: str, path: str, status: int, seconds: float, address: str) -> None:
    """One line per request; without the query, which may hold a signature."""
    level = logging.DEBUG if path in _WATCHING or path.startswith("/static/") else logging.INFO
    if not requests.isEnabledFor(level):
        return
    fields = {
        "method": method,
        "path": path[:500],
        "status": status,
        "seconds": round(seconds, 6),
        "address": address,
    }
    requests.log(level, "request", extra={"fields": fields})


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    fields = getattr(record, "fields", None)
    return fields if isinstance(fields, dict) else {}


def _plain(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str) if not isinstance(value, str) else value
    return json.dumps(text, ensure_ascii=False) if " " in text and isinstance(value, str) else text


def _redact_all(value: Any) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: _redact_all(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_redact_all(inner) for inner in value]
    return value
