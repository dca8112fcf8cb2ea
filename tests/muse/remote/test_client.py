"""What the client makes of answers: errors that the hub explains, and answers that no hub gives."""

from __future__ import annotations

import json

import pytest
from tests.scripted_server import Handler, Peer, ScriptedServer, serve_script

from muse.errors import LimitReached, MuseError, NotFound
from muse.remote.client import HubClient
from muse.remote.retry import RETRY_AFTER, Retry
from muse.wire.frames import MEDIA_TYPE, PROGRESS, RESULT, encode_error, encode_json


def make_client(
    server: ScriptedServer, pauses: list[float] | None = None, token: str | None = None
) -> HubClient:
    sleep = (pauses if pauses is not None else []).append
    return HubClient(server.origin, token, retry=Retry(attempts=3, random=lambda: 0.5, sleep=sleep))


def answer_json(peer: Peer, value: object, status: int = 200, **headers: str) -> None:
    peer.answer(status, json.dumps(value).encode(), content_type="application/json", **headers)


def in_turn(*answers: Handler) -> Handler:
    """Answer the requests of one connection one after the other."""

    def handler(peer: Peer) -> None:
        for answer in answers:
            if not peer.read_request()[0]:
                return
            answer(peer)

    return handler


def test_what_the_hub_explains_is_raised_as_it_is() -> None:
    error = NotFound("repository-not-found", "no such repository", hint="look", details={"may_create": True})
    script = in_turn(lambda peer: answer_json(peer, {"error": error.to_json()}, 404))
    with (
        serve_script(script) as server,
        make_client(server, token="mht_some") as hub,
    ):
        with pytest.raises(NotFound) as caught:
            hub.load_json("GET", "/a/b/refs")
        assert caught.value.to_json() == error.to_json()


def test_somebody_without_a_login_is_told_to_log_in_whatever_the_hub_hints() -> None:
    error = NotFound("repository-not-found", "no such repository", hint="look")
    script = in_turn(lambda peer: answer_json(peer, {"error": error.to_json()}, 404))
    with serve_script(script) as server, make_client(server) as hub:
        with pytest.raises(NotFound) as caught:
            hub.load_json("GET", "/a/b/refs")
        assert f"log in first: `muse auth login {server.origin}`" in (caught.value.hint or "")


def test_a_busy_hub_is_asked_again_after_the_pause_it_wants() -> None:
    busy = LimitReached("busy", "full", retry=True)
    script = in_turn(
        lambda peer: answer_json(peer, {"error": busy.to_json()}, 429, retry_after="3"),
        lambda peer: peer.answer(503, b"<html>", content_type="text/html"),
        lambda peer: answer_json(peer, {"fine": True}),
    )
    pauses: list[float] = []
    with serve_script(script) as server, make_client(server, pauses) as hub:
        assert hub.load_json("GET", "/x") == {"fine": True}
        assert pauses == [3.0, 0.375]
        assert (hub.requests, server.connections) == (3, 1)


@pytest.mark.parametrize(
    ("status", "body", "code", "retry"),
    [
        (200, b"<html>hello", "not-a-hub", False),
        (200, b"[1]", "not-a-hub", False),
        (404, b"<html>", "not-a-hub", False),
        (403, b'{"error": "x"}', "not-a-hub", False),
        (301, b"", "not-a-hub", False),
        (429, b"slow down", "busy", True),
        (500, b"oops", "remote-error", True),
        (502, b"<html>", "remote-error", True),
        (418, b'{"error": {"code": "tea-time", "message": "short and stout"}}', "remote-error", False),
    ],
)
def test_an_answer_of_somebody_else(status: int, body: bytes, code: str, retry: bool) -> None:
    kind = "text/html" if body.startswith(b"<") else "application/json"
    script = in_turn(lambda peer: peer.answer(status, body, content_type=kind, location="http://elsewhere/"))
    with serve_script(script) as server, make_client(server) as hub:
        with pytest.raises(MuseError) as caught:
            hub.load_json_once("GET", "/x")
        assert (caught.value.code, caught.value.retry) == (code, retry)
        if status == 301:
            assert "http://elsewhere/" in (caught.value.hint or "")


def test_a_kept_connection_that_was_closed_meanwhile_costs_no_attempt() -> None:
    fine = in_turn(lambda peer: answer_json(peer, {"n": 1}))
    pauses: list[float] = []
    with serve_script(fine) as server, make_client(server, pauses) as hub:
        for _ in range(3):
            assert hub.load_json("GET", "/x") == {"n": 1}
        assert server.connections == 3
        assert pauses == []


def test_the_token_goes_to_the_hub_and_nowhere_else() -> None:
    seen: list[str | None] = []

    def handler(peer: Peer) -> None:
        while True:
            first, headers, _ = peer.read_request()
            if not first:
                return
            seen.append(headers.get("authorization"))
            answer_json(peer, {})

    with (
        serve_script(handler) as server,
        serve_script(handler) as store,
        make_client(server, token="mht_x") as hub,
    ):
        hub.load_json("GET", "/x")
        for url in (f"{store.origin}/pack?signature=1", "/embedded/pack"):
            with hub.open_url("PUT", url, {}, b"pack") as answer:
                assert answer.status == 200
    assert seen == ["Bearer mht_x", None, None]


FRAMES = {"content_type": MEDIA_TYPE}


def test_a_result_is_found_behind_progress() -> None:
    progress = encode_json(PROGRESS, {"phase": "closure", "done": 1, "total": None, "unit": "objects"})
    script = in_turn(lambda peer: peer.answer(200, progress * 2 + encode_json(RESULT, {"n": 1}), **FRAMES))
    shown = []
    with serve_script(script) as server, make_client(server) as hub:
        assert hub.load_result("/x", MEDIA_TYPE, b"", shown.append) == {"n": 1}
    assert [frame.json()["phase"] for frame in shown] == ["closure", "closure"]


def test_an_error_frame_is_raised_as_the_error_it_holds() -> None:
    error = LimitReached("quota-exceeded", "full", hint="ask for more", details={"free_bytes": 3})
    script = in_turn(lambda peer: peer.answer(200, encode_error(error), **FRAMES))
    with serve_script(script) as server, make_client(server) as hub:
        with pytest.raises(LimitReached) as caught:
            hub.load_result("/x", MEDIA_TYPE, b"")
        assert caught.value.to_json() == error.to_json()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "remote-closed"),
        (encode_json(PROGRESS, {}), "remote-closed"),
        (encode_json(RESULT, {"n": 1})[:-1], "remote-closed"),
        (b"Zxxxx", "bad-frame"),
        (b"R\xff\xff\xff\xff", "bad-frame"),
    ],
)
def test_an_answer_of_frames_that_is_not_whole(body: bytes, code: str) -> None:
    with (
        serve_script(in_turn(lambda peer: peer.answer(200, body, **FRAMES))) as server,
        make_client(server) as hub,
    ):
        with pytest.raises(MuseError) as caught:
            hub.load_result("/x", MEDIA_TYPE, b"")
        assert caught.value.code == code


def test_nobody_there_from_the_start_is_said_at_once() -> None:
    with serve_script(in_turn()) as server:
        pass
    pauses: list[float] = []
    with make_client(server, pauses) as hub, pytest.raises(MuseError) as caught:
        hub.load_json("GET", "/x")
    assert (caught.value.code, pauses) == ("remote-unreachable", [])


def test_a_hub_that_went_away_is_waited_for() -> None:
    pauses: list[float] = []
    with serve_script(in_turn(lambda peer: answer_json(peer, {}))) as server:
        hub = make_client(server, pauses)
        hub.load_json("GET", "/x")
    with hub, pytest.raises(MuseError) as caught:
        hub.load_json("GET", "/x")
    assert (caught.value.code, len(pauses)) == ("remote-unreachable", 2)


def test_details_carry_the_pause_of_the_header() -> None:
    error = LimitReached("too-many-attempts", "wait", details={"left": 0})
    value = {"error": error.to_json()}
    with serve_script(in_turn(lambda peer: answer_json(peer, value, 429, retry_after="60"))) as server:
        with make_client(server) as hub, pytest.raises(LimitReached) as caught:
            hub.load_json_once("POST", "/x", {})
        assert caught.value.details == {"left": 0, RETRY_AFTER: 60.0}
