"""What the hub reads of a request before it knows who sends it, and how much it holds of all of them."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from http.client import HTTPResponse
from urllib.parse import urlsplit

import pytest
from tests.musehub.hub import History, HubUser, Remote, RunningHub, header_of

from muse.errors import MuseError
from muse.objects.ids import Kind
from muse.wire.frames import BLOBS, FRAME, HEADER, FrameParser, decode_error, encode_frame, encode_json
from muse.wire.push import RefUpdate
from muse.wire.uploads import MAX_MISSING_IDS, encode_missing

MIB = 1 << 20
NESTED = b'{"a":[' + b"[]," * 250_000 + b"[]]}"


@pytest.fixture
def database_kind() -> str:
    return "sqlite"


@pytest.fixture
def hub(start_hub: Callable[..., RunningHub]) -> RunningHub:
    return start_hub(body_buffers_max_bytes=2 * MIB, push_idle_timeout_s=1.0, header_max_bytes=MIB)


@pytest.fixture
def ada(hub: RunningHub) -> Remote:
    """A repository that is there."""
    remote = hub.user("ada").repository("notes")
    history = History()
    remote.push_main(history, history.commit_files({"a": b"a"}))
    return remote


class Half:
    """A request of which only a part is sent."""

    def __init__(self, user: HubUser, path: str, sent: bytes, announced: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", urlsplit(user.url).port or 0), timeout=15)
        token = f"Authorization: Bearer {user._token}\r\n" if user._token else ""
        head = f"POST {path} HTTP/1.1\r\nHost: hub\r\n{token}Content-Length: {announced}\r\n\r\n"
        self._socket.sendall(head.encode() + sent)

    def error(self) -> MuseError:
        """The error frame that comes before the rest was sent."""
        answer = HTTPResponse(self._socket)
        answer.begin()
        parser = FrameParser()
        while not (frames := list(parser.feed(answer.read1(65536)))):
            pass
        return decode_error(frames[0])

    def status(self) -> int:
        return int(self._socket.recv(65536).split()[1])

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def half() -> Iterator[Callable[..., Half]]:
    opened: list[Half] = []

    def send(user: HubUser, path: str, sent: bytes, announced: int) -> Half:
        opened.append(Half(user, path, sent, announced))
        return opened[-1]

    yield send
    for one in opened:
        one.close()


def test_a_long_push_is_refused_before_it_is_read(
    hub: RunningHub, ada: Remote, half: Callable[..., Half]
) -> None:
    path = f"{ada.path}/push/stream"
    start = FRAME.pack(HEADER, 900_000) + b"x" * 1000
    assert half(hub.nobody(), path, start, 900_005).error().code == "not-logged-in"
    assert half(hub.user("ben"), path, start, 900_005).error().code == "repository-not-found"


def test_a_header_that_is_too_long_is_refused_by_its_length(ada: Remote, half: Callable[..., Half]) -> None:
    start = FRAME.pack(HEADER, MIB + 1)
    assert half(ada.user, f"{ada.path}/push/stream", start, 2 * MIB).error().code == "bad-frame"


def test_text_that_would_become_many_values_is_not_decoded(ada: Remote) -> None:
    with pytest.raises(MuseError) as caught:
        ada.stream(encode_frame(HEADER, NESTED)).result()
    assert caught.value.code == "bad-frame"
    assert ada.user.request("POST", f"{ada.path}/fetch", NESTED).error().code == "bad-frame"


def test_a_header_of_as_many_branches_as_are_allowed_is_read(start_hub: Callable[..., RunningHub]) -> None:
    remote = start_hub().user("ada").repository("many")
    history = History()
    head = history.commit_files({"a": b"a"})
    remote.push_main(history, head)
    header = header_of([RefUpdate(f"heads/topic/{n:05}", head, head) for n in range(10_000)])
    with pytest.raises(MuseError) as caught:
        remote.stream(encode_json(HEADER, header.to_json())).result()
    assert caught.value.code == "stale-head"  # it was understood
    assert remote.fetch(wants=["heads/main"], haves=[bytes(32)] * 10_000).status == 200


def test_requests_hold_so_much_together_and_give_it_back(ada: Remote, half: Callable[..., Half]) -> None:
    path = f"{ada.path}/push/stream"
    header = encode_json(HEADER, header_of([RefUpdate("heads/b", None, bytes(32))]).to_json())
    start = header + FRAME.pack(BLOBS, 4 * MIB) + b"x" * (2 * MIB + 1000)
    error = half(ada.user, path, start, 5 * MIB).error()
    assert (error.code, error.retry, error.details) == ("busy", True, {"retry_after_s": 5})
    body = json.dumps({"protocol": 1, "wants": None, "haves": ["00" * 32] * 10_000}).encode()
    assert ada.user.request("POST", f"{ada.path}/fetch", body).status == 200


def test_a_request_of_which_nothing_more_comes_is_given_up(ada: Remote, half: Callable[..., Half]) -> None:
    assert half(ada.user, f"{ada.path}/fetch", b"{", 1000).status() == 422
    assert half(ada.user, f"{ada.path}/push/missing", b"\x01", 1 << 20).status() == 422


def test_only_those_who_may_write_ask_what_is_missing(hub: RunningHub, ada: Remote) -> None:
    body = b"\x01" + bytes(32) * 5_000
    assert hub.nobody().request("POST", f"{ada.path}/push/missing", body).status == 401


def test_what_is_missing_is_told_in_order(ada: Remote) -> None:
    ids = [number.to_bytes(32, "big") for number in range(33_000)]
    assert ada.missing(Kind.BLOB, ids) == ids


def test_a_question_about_too_many_objects_is_refused(start_hub: Callable[..., RunningHub]) -> None:
    remote = start_hub().user("ada").repository("notes")
    history = History()
    remote.push_main(history, history.commit_files({"a": b"a"}))
    most = [number.to_bytes(32, "big") for number in range(MAX_MISSING_IDS)]
    assert remote.missing(Kind.BLOB, most) == most
    body = encode_missing(Kind.BLOB, [*most, bytes(32)])
    assert remote.user.request("POST", f"{remote.path}/push/missing", body).error().code == "too-large"
