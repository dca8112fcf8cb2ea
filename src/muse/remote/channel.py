"""Bytes over a socket, both directions open at once, with time-outs for connecting and for silence.

Nothing limits how long an exchange takes. Silence is when for so long neither direction moved: a peer that
reads slowly, or that sends progress and reads nothing, is alive.
"""

from __future__ import annotations

import select
import socket
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from muse.errors import RemoteFailure
from muse.remote.address import Origin
from muse.remote.answer import RECEIVE_BYTES
from muse.remote.failures import closed, not_a_hub, silent, unreachable

if TYPE_CHECKING:
    import ssl

MAX_LINE_BYTES = 64 << 10
MAX_UNREAD_BYTES = 4 << 20
"""What is kept of an answer that arrives while the request is still going out."""


class Timeouts(NamedTuple):
    connect_s: float = 20.0
    idle_s: float = 60.0


class Refused(Exception):
    """The other side answered with an error before it had the whole request."""


class Channel:
    """One connection to one origin. Not for concurrent use.

    `context` says whom to trust; an origin with https needs it.
    """

    def __init__(self, origin: Origin, timeouts: Timeouts, context: ssl.SSLContext | None = None) -> None:
        self.origin = origin
        self.bytes_sent = 0
        self.bytes_received = 0
        self.answered = False
        """Whether anything of the answer to the current request has arrived."""
        self.broken = False
        """Whether the other side takes no more."""
        self._timeouts = timeouts
        self._context = context
        self._socket: socket.socket | None = None
        self._retry_errors: tuple[type[Exception], ...] = (BlockingIOError, InterruptedError)
        self._buffer = bytearray()

    @property
    def is_open(self) -> bool:
        return self._socket is not None

    def open(self) -> None:
        """Connect; raises `remote-unreachable`."""
        host, port = self.origin.host, self.origin.port
        # In bytes it is not encoded once more, for which a codec would be imported.
        plain_host: Any = host.encode() if host.isascii() else host
        try:
            plain = socket.create_connection((plain_host, port), self._timeouts.connect_s)
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._socket = plain if self.origin.scheme == "http" else self._wrap(plain)
        except OSError as error:
            raise unreachable(self.origin, error) from None
        self._socket.setblocking(False)
        self.broken = False

    def _wrap(self, plain: socket.socket) -> socket.socket:
        import ssl

        self._retry_errors = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
        assert self._context is not None
        try:
            return self._context.wrap_socket(plain, server_hostname=self.origin.host)
        except OSError:
            plain.close()
            raise

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None
        self._buffer.clear()

    def abort(self) -> None:
        """Disconnect from another thread: whoever waits for the other side sees the end of the stream."""
        connected = self._socket
        if connected is not None:
            try:
                connected.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def is_stale(self) -> bool:
        """Say whether the other side has closed, or sent something unasked, since the last exchange."""
        if self._socket is None:
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    # ---- sending

    def send(self, data: bytes | memoryview) -> None:
        """Send all of it, or nothing more once the other side has closed; meanwhile keep what arrives.

        Raises `remote-timeout` when neither direction moves, and `Refused`.
        """
        if self.broken or self._socket is None:
            return
        view = memoryview(data)
        while view:
            try:
                sent = self._socket.send(view)
            except self._retry_errors:
                self._wait_to_send()
                continue
            except OSError:
                self.broken = True  # what it said before it closed may still be read
                return
            self.bytes_sent += sent
            view = view[sent:]

    def _wait_to_send(self) -> None:
        """Wait until there is room, meanwhile keep what arrives; raises `remote-timeout` when neither
        direction moves.
        """
        assert self._socket is not None
        may_read = len(self._buffer) < MAX_UNREAD_BYTES
        poll = select.poll()
        poll.register(self._socket, select.POLLOUT | (select.POLLIN if may_read else 0))
        events = poll.poll(self._timeouts.idle_s * 1000)
        if not events:
            raise self._give_up_silent()
        if events[0][1] & (select.POLLIN | select.POLLHUP | select.POLLERR) and may_read:
            if self._receive_some() is False:
                self.broken = True
            if self.is_refused():
                raise Refused

    def is_refused(self) -> bool:
        """Say whether what has arrived makes it pointless to send the rest."""
        return False

    # ---- receiving

    def _receive_some(self) -> bool | None:
        """Take what is there: True if something, False at the end of the stream, None if nothing yet."""
        data = self._take_some()
        if data:
            self._buffer += data
        return None if data is None else bool(data)

    def _take_some(self) -> bytes | None:
        """Return what is there: b"" at the end of the stream, None if nothing is there yet."""
        assert self._socket is not None
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except self._retry_errors:
            return None
        except OSError:
            return b""
        if data:
            self.answered = True
            self.bytes_received += len(data)
        return data

    def _wait(self) -> bytes:
        """Wait for more and return it; b"" at the end of the stream. Raises `remote-timeout`."""
        if self._socket is None:
            return b""
        deadline = time.monotonic() + self._timeouts.idle_s
        while True:
            data = self._take_some()
            if data is not None:
                return data
            poll = select.poll()
            poll.register(self._socket, select.POLLIN)
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000) and time.monotonic() >= deadline:
                raise self._give_up_silent()

    def _receive(self) -> bool:
        """Wait for more and keep it; False at the end of the stream. Raises `remote-timeout`."""
        data = self._wait()
        self._buffer += data
        return bool(data)

    def read_line(self) -> bytes:
        """Return the next line without its end."""
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            if start > MAX_LINE_BYTES:
                raise not_a_hub(self.origin, "a line of its answer does not end")
            if not self._receive():
                raise self._give_up_closed()
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[: end + 1]
        return line

    def read_piece(self, max_bytes: int, may_end: bool = False) -> bytes:
        """Return one to `max_bytes` bytes; b"" only where the answer `may_end` by closing."""
        if not self._buffer:
            data = self._wait()
            if len(data) <= max_bytes:
                if not data and not may_end:
                    raise self._give_up_closed()
                return data  # nearly always, and not copied
            self._buffer += data
        piece = bytes(memoryview(self._buffer)[:max_bytes])
        del self._buffer[:max_bytes]
        return piece

    # ---- giving up

    def _give_up_silent(self) -> RemoteFailure:
        self.close()
        return silent(self.origin, self._timeouts.idle_s)

    def _give_up_closed(self) -> RemoteFailure:
        answered = self.answered
        self.close()
        return closed(self.origin, answered=answered)
