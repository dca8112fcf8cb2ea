"""Webhooks, delivered to a real HTTP server."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import pytest
from tests.musehub.hub import History, HubUser, RunningHub
from tests.musehub.jobs.conftest import Jobs

from muse.errors import UsageError
from muse.wire.push import RefUpdate
from musehub.jobs.kinds.deliver import sign
from musehub.jobs.sending import KEPT_CHARACTERS, may_reach, parse_networks, parse_target

HOOKS = "/api/v1/repositories/ada/notes/webhooks"
LOCAL = {"webhook_allowed_networks": "127.0.0.0/8"}
SECRET = "a secret of some length"


class Received(NamedTuple):
    path: str
    headers: dict[str, str]
    body: bytes


class Receiver:
    """An HTTP server on this machine that answers as it is told."""

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: list[bytes] = []
        self.ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.received.append(Received(self.path, dict(self.headers), body))
                answer = receiver.answers.pop(0) if receiver.answers else receiver.ok
                if answer == HANG:
                    receiver.hanging.wait(30)
                    answer = b""
                self.wfile.write(answer)
                self.close_connection = True

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.hanging = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook?x=1"

    def stop(self) -> None:
        self.hanging.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


HANG = b"hang"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def ada(hub: RunningHub, jobs: Jobs) -> HubUser:
    """Ada, who has a repository, and no jobs to be done."""
    ada = hub.user("ada", scope="admin")
    history = History()
    ada.repository("notes").push_main(history, history.commit_files({"a": b"1"}))
    jobs.execute("DELETE FROM outbox")
    return ada


def push(user: HubUser, branch: str = "other") -> bytes:
    """Push a new branch with a commit of its own."""
    history = History()
    commit = history.commit_files({"b": branch.encode()}, message=f"Begin {branch}")
    user.repository("notes").push(history, [RefUpdate(f"heads/{branch}", None, commit)])
    return commit


def add(user: HubUser, url: str, **values: object) -> dict[str, Any]:
    answer = user.post_json(HOOKS, {"url": url, "secret": SECRET, **values})
    assert answer.status == 201, answer.body
    return answer.json()


def deliveries(user: HubUser, hook: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = user.request("GET", f"{HOOKS}/{hook['id']}/deliveries").json()
    return found


def test_a_push_is_delivered_signed(ada: HubUser, jobs: Jobs, receiver: Receiver) -> None:
    hook = add(ada, receiver.url)
    commit = push(ada)
    jobs.run(**LOCAL)

    (received,) = receiver.received
    assert received.path == "/hook?x=1"
    timestamp = received.headers["X-Musehub-Timestamp"]
    expected = hmac.new(SECRET.encode(), f"{timestamp}.".encode() + received.body, hashlib.sha256).hexdigest()
    assert received.headers["X-Musehub-Signature"] == f"sha256={expected}"
    body = json.loads(received.body)
    assert body["repository"]["full_name"] == "ada/notes"
    assert body["push"]["user"] == "ada"
    assert body["push"]["refs"] == [{"name": "heads/other", "old": None, "new": commit.hex()}]
    assert [item["summary"] for item in body["commits"]] == ["Begin other"]
    (delivery,) = deliveries(ada, hook)
    assert delivery["state"] == "delivered"
    assert [(attempt["status"], attempt["response"]) for attempt in delivery["attempts"]] == [(200, "ok")]
    assert jobs.run(**LOCAL) == 0


def test_failures_are_recorded_and_tried_again_with_the_same_body(
    ada: HubUser, jobs: Jobs, receiver: Receiver
) -> None:
    hook = add(ada, receiver.url)
    push(ada)
    receiver.answers += [
        b"HTTP/1.1 500 Oops\r\n\r\n" + b"x" * 300_000,
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
        b"what?",
    ]
    jobs.run(**LOCAL)
    for _ in range(3):
        jobs.execute("UPDATE outbox SET run_after = 0 WHERE done_at IS NULL")
        jobs.hub.call(jobs.worker(**LOCAL).run_due())
    (delivery,) = deliveries(ada, hook)
    assert delivery["state"] == "delivered"
    attempts = delivery["attempts"]
    assert [attempt["status"] for attempt in attempts] == [500, 302, None, 200]
    assert len(attempts[0]["response"]) == KEPT_CHARACTERS
    assert "redirects are not followed" in attempts[1]["error"]
    assert attempts[2]["error"] == "the answer is not HTTP"
    assert len({received.body for received in receiver.received}) == 1
    assert len({received.headers["X-Musehub-Delivery"] for received in receiver.received}) == 1


def test_a_receiver_that_never_answers_is_given_up_in_time(
    ada: HubUser, jobs: Jobs, receiver: Receiver
) -> None:
    hook = add(ada, receiver.url)
    push(ada)
    receiver.answers.append(HANG)
    jobs.run(**LOCAL, webhook_timeout_s=0.2, job_max_attempts=1)
    (delivery,) = deliveries(ada, hook)
    assert delivery["state"] == "failed"
    assert delivery["attempts"][0]["error"] == "no answer within 0.2 s"


def test_what_was_delivered_is_not_delivered_again_but_on_request(
    ada: HubUser, jobs: Jobs, receiver: Receiver
) -> None:
    hook = add(ada, receiver.url)
    push(ada)
    jobs.run(**LOCAL)
    jobs.execute("UPDATE outbox SET done_at = NULL, outcome = NULL, run_after = 0, attempts = 0")
    jobs.run(**LOCAL)
    assert len(receiver.received) == 1

    (delivery,) = deliveries(ada, hook)
    again = f"{HOOKS}/{hook['id']}/deliveries/{delivery['id']}/redeliver"
    assert ada.request("POST", again).status == 202
    jobs.run(**LOCAL)
    assert len(receiver.received) == 2
    assert receiver.received[0].body == receiver.received[1].body
    assert len(deliveries(ada, hook)[0]["attempts"]) == 2


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254"])
def test_addresses_that_are_not_public_are_refused_when_connecting(
    ada: HubUser, jobs: Jobs, host: str
) -> None:
    hook = add(ada, f"http://{host}:1/")
    push(ada)
    jobs.run()
    (delivery,) = deliveries(ada, hook)
    assert delivery["state"] == "failed"
    assert "may not reach" in delivery["attempts"][0]["error"]
    assert jobs.rows("SELECT COUNT(*) FROM outbox WHERE done_at IS NULL") == [(0,)]


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("93.184.215.14", True),
        ("2606:2800:21f:cb07:6820:80da:af6b:8b2c", True),
        ("0.0.0.0", False),
        ("100.64.0.1", False),
        ("172.16.5.4", False),
        ("192.168.1.1", False),
        ("224.0.0.1", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:93.184.215.14", True),
        ("64:ff9b::7f00:1", False),
        ("64:ff9b::5db8:d70e", True),
        ("2002:7f00:1::", False),
        ("::", False),
    ],
)
def test_which_addresses_may_be_reached(address: str, allowed: bool) -> None:
    assert may_reach(address, []) is allowed


def test_the_operator_may_allow_networks() -> None:
    networks = parse_networks("10.1.0.0/16, fd00::/8")
    assert may_reach("10.1.2.3", networks)
    assert may_reach("fd00::5", networks)
    assert not may_reach("10.2.0.1", networks)
    with pytest.raises(UsageError):
        parse_networks("10.1.0.0/99")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example/",
        "http://",
        "nonsense",
        "http://u:p@a.example/",
        "http://a.example/\r\nX: 1",
        "http://a:99999/",
    ],
)
def test_what_is_no_address_of_a_webhook(url: str) -> None:
    with pytest.raises(UsageError):
        parse_target(url)


def test_managing_webhooks(ada: HubUser, jobs: Jobs, receiver: Receiver) -> None:
    hook = add(ada, receiver.url, secret=None)
    assert len(hook["secret"]) >= 32
    listed = ada.request("GET", HOOKS).json()
    assert [(item["url"], item["secret"]) for item in listed] == [(receiver.url, None)]
    path = f"{HOOKS}/{hook['id']}"
    body = json.dumps({"active": False}).encode()
    changed = ada.request("PATCH", path, body, {"Content-Type": "application/json"})
    assert changed.json()["active"] is False
    push(ada)
    jobs.run(**LOCAL)
    assert receiver.received == []
    for wrong in ({"events": ["eclipse"]}, {"events": []}, {"secret": "short"}, {"url": "http://"}):
        assert ada.post_json(HOOKS, {"url": receiver.url, **wrong}).status == 400
    assert ada.request("DELETE", path).status == 204
    assert ada.request("GET", path + "/deliveries").error().code == "webhook-not-found"


def test_only_administrators_of_the_repository_see_webhooks(ada: HubUser, jobs: Jobs) -> None:
    add(ada, "https://hooks.example.org/")
    assert jobs.hub.user("bob", scope="admin").request("GET", HOOKS).status == 404
    assert jobs.hub.nobody().request("GET", HOOKS).status == 401
    assert jobs.hub.user("carol").request("GET", HOOKS).status == 404


def test_the_signature_covers_time_and_body() -> None:
    at = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp())
    later = at + int(timedelta(seconds=1).total_seconds())
    signed = sign(SECRET, at, b"{}")
    assert (
        len({signed, sign(SECRET, later, b"{}"), sign(SECRET, at, b"{ }"), sign(SECRET + "!", at, b"{}")})
        == 4
    )
