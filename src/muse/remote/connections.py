"""Connections that are kept between requests, and answers that hold one until they are read."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from muse.errors import MuseError
from muse.remote.address import Origin
from muse.remote.answer import Answer
from muse.remote.channel import Timeouts
from muse.remote.failures import closed_early
from muse.remote.http import Connection
from muse.wire.frames import ERROR, Frame, FrameParser, decode_error

if TYPE_CHECKING:
    import ssl

KEPT_CONNECTIONS = 64


class Connections:
    """Idle connections by origin. Safe for several threads; close it in the end.

    `requests`, `bytes_sent` and `bytes_received` count everything, failed attempts included.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self.requests = 0
        self.bytes_sent = 0
        self.bytes_received = 0
        self._timeouts = timeouts
        self._closed = False
        self._lock = threading.Lock()
        self._idle: dict[Origin, list[Connection]] = {}
        self._context: ssl.SSLContext | None = None

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they are given back."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def take(self, origin: Origin) -> Connection:
        """Return one for a request, open if there is an idle one; give it back."""
        with self._lock:
            self.requests += 1
        while True:
            with self._lock:
                idle = self._idle.get(origin)
                connection = idle.pop() if idle else None
            if connection is None:
                return Connection(origin, self._timeouts, self._find_context(origin))
            if not connection.is_stale():
                return connection
            connection.close()

    def _find_context(self, origin: Origin) -> ssl.SSLContext | None:
        """One for all: making it reads every certificate that the system trusts, 20 ms."""
        if origin.scheme != "https":
            return None
        import ssl

        with self._lock:
            if self._context is None:
                self._context = ssl.create_default_context()
            return self._context

    def give_back(self, connection: Connection) -> None:
        with self._lock:
            self.bytes_sent += connection.bytes_sent
            self.bytes_received += connection.bytes_received
            connection.bytes_sent = connection.bytes_received = 0
            idle = self._idle.setdefault(connection.origin, [])
            if connection.is_open and not self._closed and len(idle) < KEPT_CONNECTIONS:
                idle.append(connection)
                return
        connection.close()


class OpenAnswer:
    """An answer whose body is still to be read; leaving the `with` block returns its connection, or closes it
    if bytes are left.
    """

    def __init__(self, connections: Connections, connection: Connection, answer: Answer) -> None:
        self._connections = connections
        self._connection = connection
        self.answer = answer

    @property
    def status(self) -> int:
        return self.answer.status

    @property
    def retry_after_s(self) -> float | None:
        return retry_after_s(self.answer)

    def abort(self) -> None:
        """Disconnect; may be called from another thread than the one that reads."""
        self._connection.abort()

    def __enter__(self) -> OpenAnswer:
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()
        self._connections.give_back(self._connection)


class FrameAnswer:
    """The frames of an answer as they come; an X frame is raised as the error it holds.

    Raises `remote-closed` when the answer ends inside a frame; whether the last frame is a last one is the
    caller's to say.
    """

    def __init__(self, opened: OpenAnswer, origin: Origin) -> None:
        self._opened = opened
        self._origin = origin

    def __enter__(self) -> FrameAnswer:
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.__exit__()

    def __iter__(self) -> Iterator[Frame]:
        parser = FrameParser()
        for piece in self._opened.answer:
            for frame in parser.feed(piece):
                if frame.type == ERROR:
                    raise decode_error(frame)
                yield frame
        try:
            parser.close()
        except MuseError:
            raise closed_early(self._origin) from None

    def abort(self) -> None:
        """End the answer now, for a thread that may be waiting for more of it."""
        self._opened.abort()


def retry_after_s(answer: Answer) -> float | None:
    """How long the other side asks to wait, if it says so in seconds."""
    text = answer.headers.get("retry-after", "")
    return float(text) if text.isascii() and text.isdigit() else None
