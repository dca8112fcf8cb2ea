"""Requests to a hub: errors understood, repeated where that can help."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from muse import __version__
from muse.errors import LimitReached, MuseError, RemoteFailure, from_json
from muse.remote.address import Origin, parse_url
from muse.remote.answer import Answer
from muse.remote.channel import Timeouts
from muse.remote.connections import Connections, FrameAnswer, OpenAnswer, retry_after_s
from muse.remote.failures import closed_early, not_a_hub
from muse.remote.http import Body
from muse.remote.retry import RETRY_AFTER, Retry
from muse.wire.frames import MEDIA_TYPE, PROGRESS, RESULT, Frame

CLIENT_NAME = f"muse/{__version__}"
JSON_TYPE = "application/json"
MAX_JSON_BYTES = 256 << 20
"""The refs of a repository with a million branches."""
MAX_ERROR_BYTES = 1 << 20

Replay = Body | Callable[[], Body]
"""A body, or what makes a new one for every attempt."""


class HubClient:
    """Talks to one hub, and to the stores whose addresses it hands out. Safe for several threads.

    Close it in the end, or use it in a `with` block.

    `token` goes to the hub alone. `requests`, `bytes_sent` and `bytes_received` count everything since the
    client was made, failed attempts included. Every method raises `MuseError`s: those that the hub explains
    as it explains them, else `remote-unreachable`, `remote-timeout`, `remote-closed`, `remote-error` or
    `not-a-hub`.
    """

    def __init__(
        self,
        origin: Origin,
        token: str | None = None,
        *,
        timeouts: Timeouts | None = None,
        retry: Retry | None = None,
    ) -> None:
        self.origin = origin
        self.retry = retry or Retry()
        self._token = token
        self._met = False
        self._connections = Connections(timeouts or Timeouts())

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they are given back."""
        self._connections.close()

    @property
    def requests(self) -> int:
        return self._connections.requests

    @property
    def bytes_sent(self) -> int:
        return self._connections.bytes_sent

    @property
    def bytes_received(self) -> int:
        return self._connections.bytes_received

    def __enter__(self) -> HubClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # ---- to the hub

    def load_json(self, method: str, path: str, value: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Make a request that may safely be made twice, with retries, and return the JSON object of its
        answer.
        """
        return self.retry.run(lambda _: self.load_json_once(method, path, value, replay=True))

    def load_json_once(
        self, method: str, path: str, value: Mapping[str, Any] | None = None, *, replay: bool = False
    ) -> dict[str, Any]:
        """As `load_json`, without retries: for what must not happen twice.

        `replay`: send it once more where a kept connection turns out to have been closed.
        """
        body = None if value is None else json.dumps(value, ensure_ascii=False).encode()
        headers = {"Accept": JSON_TYPE} | ({"Content-Type": JSON_TYPE} if body is not None else {})
        with self._open(self.origin, method, path, headers, body, replay) as answer:
            if answer.status == 204:
                return {}
            data = answer.answer.read_all(MAX_JSON_BYTES)
            parsed = _parse_json(data, answer.answer)
            if parsed is None:
                raise not_a_hub(self.origin, f"{method} {path} was not answered with JSON")
            return parsed

    def load_bytes(self, path: str, body: bytes, max_bytes: int) -> bytes:
        """POST bytes and return the answer's, with retries."""

        def work(_: int) -> bytes:
            headers = {"Content-Type": "application/octet-stream"}
            with self._open(self.origin, "POST", path, headers, body, replay=True) as answer:
                return answer.answer.read_all(max_bytes)

        return self.retry.run(work)

    def open_frames(self, path: str, content_type: str, body: Replay) -> FrameAnswer:
        """POST once and return the frames of the answer, to be read in a `with` block."""
        headers = {"Content-Type": content_type, "Accept": MEDIA_TYPE}
        opened = self._open(self.origin, "POST", path, headers, body)
        if not opened.answer.headers.get("content-type", "").startswith(MEDIA_TYPE):
            with opened:
                raise not_a_hub(self.origin, f"POST {path} was not answered with frames")
        return FrameAnswer(opened, self.origin)

    def load_result(
        self,
        path: str,
        content_type: str,
        body: Replay,
        show: Callable[[Frame], None] = lambda frame: None,
    ) -> dict[str, Any]:
        """POST once and return what the R frame holds; `show` sees the P frames. Raises what an X frame
        holds.
        """
        result = None
        with self.open_frames(path, content_type, body) as frames:
            for frame in frames:
                if frame.type == RESULT:
                    result = frame.json()
                elif frame.type == PROGRESS:
                    show(frame)
        if result is None:
            raise closed_early(self.origin)
        return result

    # ---- to whoever an issued address leads to

    def open_url(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Replay = None,
        size_bytes: int | None = None,
    ) -> OpenAnswer:
        """Use an issued address once; it gets no token. The status is the caller's to judge."""
        origin, target = (self.origin, url) if url.startswith("/") else parse_url(url)
        return self._exchange(origin, method, target, dict(headers), body, size_bytes)

    # ---- beneath

    def _open(
        self,
        origin: Origin,
        method: str,
        path: str,
        headers: dict[str, str],
        body: Replay,
        replay: bool = False,
    ) -> OpenAnswer:
        if self._token:
            headers["Authorization"] = f"Bearer {self._token}"
        opened = self._exchange(origin, method, path, headers, body, None, replay)
        if not 200 <= opened.status < 300:
            with opened:
                raise self._explain(method, path, opened.answer)
        return opened

    def _exchange(
        self,
        origin: Origin,
        method: str,
        target: str,
        headers: dict[str, str],
        body: Replay,
        size_bytes: int | None,
        replay: bool = False,
    ) -> OpenAnswer:
        headers.setdefault("User-Agent", CLIENT_NAME)
        while True:
            connection = self._connections.take(origin)
            reused = connection.is_open
            try:
                fresh = body() if callable(body) else body
                answer = connection.exchange(method, target, headers, fresh, size_bytes)
                self._met = True
                return OpenAnswer(self._connections, connection, answer)
            except BaseException as error:
                self._connections.give_back(connection)
                if isinstance(error, RemoteFailure) and error.code == "remote-unreachable" and not self._met:
                    error.retry = False  # nobody was there from the start: say so at once
                # A kept connection that was closed just now says nothing about the hub.
                if not (replay and reused and not connection.answered and _is_closed(error)):
                    raise

    def _explain(self, method: str, path: str, answer: Answer) -> MuseError:
        """Turn an answer with an error status into the error it stands for."""
        status = answer.status
        if 300 <= status < 400:
            place = answer.headers.get("location", "")
            return RemoteFailure(
                "not-a-hub",
                f'"{self.origin}" answers that it is somewhere else',
                hint=f"use the address it names: {place}" if place else None,
            )
        error = (_parse_json(answer.read_all(MAX_ERROR_BYTES), answer) or {}).get("error")
        failure: MuseError
        if isinstance(error, dict) and isinstance(error.get("code"), str):
            failure = from_json(error)
        elif status == 429:
            failure = LimitReached("busy", f'"{self.origin}" takes no more requests right now', retry=True)
        elif status in (408, 425) or status >= 500:
            failure = RemoteFailure(
                "remote-error", f'"{self.origin}" answered {method} {path} with status {status}', retry=True
            )
        else:
            return not_a_hub(self.origin, f"{method} {path} was answered with status {status}")
        if failure.code == "repository-not-found" and not self._token:
            failure.hint = f"if it is private, log in first: `muse auth login {self.origin}`"
        if RETRY_AFTER not in failure.details and (pause := retry_after_s(answer)) is not None:
            failure.details[RETRY_AFTER] = pause
        return failure


def _is_closed(error: BaseException) -> bool:
    return isinstance(error, RemoteFailure) and error.code == "remote-closed"


def _parse_json(data: bytes, answer: Answer) -> dict[str, Any] | None:
    if "json" not in answer.headers.get("content-type", ""):
        return None
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
