"""Log lines: what is in them, and what never is."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.musehub.hub import History, RunningHub, header_of, push_body
from tests.musehub.jobs.conftest import Jobs
from tests.musehub.stores import WatchedStore

from muse.wire.frames import decode_error
from muse.wire.push import RefUpdate
from musehub.storage.signing import UrlSigner
from musehub.telemetry.logs import JsonFormatter, TextFormatter, log_job, redact


class Log:
    """Everything the hub logs, as JSON and as text."""

    def __init__(self) -> None:
        self._json, self._text = io.StringIO(), io.StringIO()
        self.handlers = [logging.StreamHandler(self._json), logging.StreamHandler(self._text)]
        self.handlers[0].setFormatter(JsonFormatter())
        self.handlers[1].setFormatter(TextFormatter())

    def lines(self, message: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in self._json.getvalue().splitlines()]
        return [line for line in found if line["message"] == message]

    @property
    def everything(self) -> str:
        return self._json.getvalue() + self._text.getvalue()


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    logger = logging.getLogger("musehub")
    level = logger.level
    logger.setLevel(logging.INFO)
    for handler in log.handlers:
        logger.addHandler(handler)
    yield log
    for handler in log.handlers:
        logger.removeHandler(handler)
    logger.setLevel(level)


def test_a_push_a_fetch_a_job_and_requests_have_a_line_each(hub: RunningHub, log: Log) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    result = ada.push_main(history, history.commit_files({"a": b"1"}))
    ada.fetch()
    (push,) = log.lines("push")
    assert push["push_id"] == result["push_id"]
    assert (push["actor"], push["actor_kind"], push["outcome"]) == ("ada", "human", "landed")
    assert push["repository"] == "ada/notes"
    assert isinstance(push["repository_id"], int)
    assert sum(push["phases"].values()) == pytest.approx(push["seconds"], rel=0.05)
    (fetch,) = log.lines("fetch")
    assert (fetch["actor"], fetch["outcome"], fetch["repository_id"]) == ("ada", "ok", push["repository_id"])
    paths = [(line["method"], line["path"], line["status"]) for line in log.lines("request")]
    assert ("POST", "/ada/notes/push/stream", 200) in paths


def test_jobs_say_how_they_went(hub: RunningHub, log: Log) -> None:
    ada = hub.user("ada").repository("notes")
    history = History()
    ada.push_main(history, history.commit_files({"a": b"1"}))
    worker = Jobs(hub).worker()
    worker.observers.append(log_job)
    hub.call(worker.run_due())
    lines = log.lines("job")
    assert {line["kind"] for line in lines} >= {"languages", "churn", "scrub"}
    assert {line["outcome"] for line in lines} == {"done"}


def test_a_defect_has_an_incident_and_a_trace(
    start_hub: Callable[..., RunningHub], tmp_path: Path, log: Log
) -> None:
    def fail(_call: str) -> None:
        raise ValueError("with mht_abcdefghijk in it")

    async def secret() -> bytes:
        return b"s" * 32

    hub = start_hub(store=WatchedStore(tmp_path / "store", UrlSigner(secret)).watching(fail))
    history = History()
    header = header_of([RefUpdate("heads/main", None, history.commit_files({"a": b"1"}))])
    answer = hub.user("ada").repository("notes").stream(push_body(header, history.take()))
    error = decode_error(answer.frames()[-1])
    assert error.details["incident"] in log.everything
    assert "Traceback" in log.everything
    assert "with mht_… in it" in log.everything
    (push,) = log.lines("push")
    assert (push["outcome"], push["code"], push["level"]) == ("failed", "internal", "warning")


def test_no_token_password_or_signed_address_is_logged(hub: RunningHub, log: Log) -> None:
    user = hub.user("ada")
    token = user._token
    assert token is not None
    ada = user.repository("notes")
    history = History()
    ada.push_main(history, history.commit_files({"a": b"1"}))
    user.post_json("/api/v1/auth/token", {"user": "ada", "password": "hunter2 hunter2"})
    user.request("GET", f"/api/v1/users?token={token}&signature=abcdef")
    signed = ada.presign(b"p" * 16, b"d" * 32, 100).json()
    user.request("PUT", signed["request"]["url"] if "request" in signed else signed["url"], b"x")
    for secret in (token, "hunter2", "signature=", "abcdef"):
        assert secret not in log.everything


@pytest.mark.parametrize(
    ("text", "redacted"),
    [
        ("Bearer mht_abc-DEF_1", "Bearer …"),
        ("got mht_abc-DEF_1.", "got mht_…."),
        ("postgresql://muse:pass@host/db", "postgresql://muse:…@host/db"),
        ("http://h/store/k?expires=1&signature=0a1b", "http://h/store/k?expires=1&signature=…"),
        (
            "http://s3/b?X-Amz-Credential=A%2F1&X-Amz-Signature=ff",
            "http://s3/b?X-Amz-Credential=…&X-Amz-Signature=…",
        ),
        ("Basic YWRhOnB3", "Basic …"),
        ("a plain sentence", "a plain sentence"),
    ],
)
def test_redacting(text: str, redacted: str) -> None:
    assert redact(text) == redacted
    record = logging.LogRecord("musehub", logging.INFO, "", 1, "%s", (text,), None)
    record.fields = {"deep": [{"text": text}]}
    line = json.loads(JsonFormatter().format(record))
    assert (line["message"], line["deep"]) == (redacted, [{"text": redacted}])
