"""What HTTP expects of every address: HEAD as GET, ranges, statuses that say what they mean."""

from __future__ import annotations

import http.client
import os
import socket
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest
from tests.musehub.hub import History, HubUser, RunningHub

from muse.objects.chunks import Chunk, build_chunk_list
from muse.objects.ids import Kind, hash_bytes
from muse.objects.tree import CHUNKED_FILE, FILE, Entry, encode_entries

SMALL = b"0123456789"
LARGE = os.urandom(300_000)
"""In chunks of 100,000 bytes."""


class Asked(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


Ask = Callable[..., Asked]


@pytest.fixture
def ada(hub: RunningHub) -> HubUser:
    user = hub.user("ada")
    history = History()
    pieces = [LARGE[at : at + 100_000] for at in range(0, len(LARGE), 100_000)]
    chunks = [Chunk(len(piece), history.put(Kind.BLOB, piece)) for piece in pieces]
    listed = build_chunk_list(hash_bytes(LARGE), chunks, history.put)
    entries = [
        Entry("large", CHUNKED_FILE, listed, len(LARGE), 1),
        Entry("small", FILE, history.put(Kind.BLOB, SMALL), len(SMALL), 1),
    ]
    tree = history.put(Kind.TREE, encode_entries(entries))
    user.repository("files").push_main(history, history.commit(tree))
    return user


@pytest.fixture
def ask(ada: HubUser) -> Ask:
    address = urlsplit(ada.url)

    def send(method: str, path: str, **headers: str) -> Asked:
        connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=20)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, headers={"Authorization": f"Bearer {ada._token}", **named})
        answer = connection.getresponse()
        got = Asked(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
        connection.close()
        return got

    return send


def test_head_is_get_without_the_body(ask: Ask) -> None:
    for path, accept in (
        ("/", "text/html"),
        ("/ada/files", "text/html"),
        ("/ada/files/raw/main/small", "*/*"),
        ("/ada/files/raw/main/large", "*/*"),
        ("/ada/files/refs", "*/*"),
        ("/api/v1/repositories/ada/files", "*/*"),
        ("/ready", "*/*"),
        ("/nothing", "text/html"),
    ):
        got, head = ask("GET", path, Accept=accept), ask("HEAD", path, Accept=accept)
        assert (head.status, head.body) == (got.status, b""), path
        for name in ("content-type", "content-length", "etag"):
            assert head.headers.get(name) == got.headers.get(name), (path, name)


@pytest.mark.parametrize("name", ["small", "large"])
def test_a_range_of_a_file(ask: Ask, name: str) -> None:
    whole = SMALL if name == "small" else LARGE
    for asked, start, end in (
        ("bytes=0-0", 0, 1),
        ("bytes=3-", 3, None),
        ("bytes=2-99999999999", 2, None),
        ("bytes=-4", -4, None),
        ("bytes=-99999999999", 0, None),
        ("bytes=5-7", 5, 8),
        ("bytes=99999-100000", 99_999, 100_001),
        ("bytes=100000-199999", 100_000, 200_000),
        ("bytes=150000-249999", 150_000, 250_000),
    ):
        expected, first = whole[start:end], start % len(whole)
        if start > len(whole):
            continue
        answer = ask("GET", f"/ada/files/raw/main/{name}", Range=asked)
        assert (answer.status, answer.body) == (206, expected), asked
        assert answer.headers["content-range"] == f"bytes {first}-{first + len(expected) - 1}/{len(whole)}"
        assert answer.headers["content-length"] == str(len(expected))


def test_a_range_that_makes_no_sense_is_the_whole_file(ask: Ask) -> None:
    for asked in ("bytes=2-1", "bytes=-", "lines=1-2", "bytes=0-1,3-4", "bytes=x-"):
        answer = ask("GET", "/ada/files/raw/main/small", Range=asked)
        assert (answer.status, answer.body) == (200, SMALL), asked


def test_a_range_behind_the_end_cannot_be_had(ask: Ask) -> None:
    for asked in ("bytes=10-", "bytes=99-100", "bytes=-0"):
        answer = ask("GET", "/ada/files/raw/main/small", Range=asked)
        assert (answer.status, answer.headers["content-range"], answer.body) == (416, "bytes */10", b"")


def test_who_has_it_is_told_so_and_a_part_is_of_what_it_began_as(ask: Ask) -> None:
    path = "/ada/files/raw/main/small"
    etag = ask("GET", path).headers["etag"]
    for known in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        assert ask("GET", path, If_None_Match=known).status == 304
    assert ask("GET", path, If_None_Match='"other"').status == 200
    assert ask("GET", path, Range="bytes=1-2", If_Range=etag).body == b"12"
    assert ask("GET", path, Range="bytes=1-2", If_Range='"other"').body == SMALL


@pytest.mark.parametrize("path", ["/api/v1/auth/token", "/login"])
def test_a_request_whose_body_does_not_come_is_given_up(
    start_hub: Callable[..., RunningHub], path: str
) -> None:
    address = urlsplit(start_hub(push_idle_timeout_s=0.2).url)
    with socket.create_connection((address.hostname, address.port), timeout=30) as connection:
        form = "application/json" if path.startswith("/api") else "application/x-www-form-urlencoded"
        head = f"POST {path} HTTP/1.1\r\nHost: hub\r\nContent-Length: 99\r\nContent-Type: {form}\r\n\r\n{{"
        connection.sendall(head.encode())
        answer = connection.recv(1 << 16)
    assert b'"truncated"' in answer


def test_who_is_not_known_is_told_how_to_say_so(hub: RunningHub, ask: Ask) -> None:
    answer = hub.nobody().request("GET", "/api/v1/auth/whoami")
    assert (answer.status, answer.headers["www-authenticate"]) == (401, 'Bearer realm="musehub"')
    wrong = ask("GET", "/ada/files", Authorization="Bearer nonsense", Accept="text/html")
    assert wrong.status == 401
    assert "invalid_token" in wrong.headers["www-authenticate"]


def test_a_method_that_is_not_allowed_is_answered_with_those_that_are(ask: Ask) -> None:
    answer = ask("DELETE", "/ada/files/commits/main")
    assert answer.status == 405
    assert "GET" in answer.headers["allow"]
