"""HTTP/1.1 over a socket: one connection, one exchange at a time, both directions open at once.

The standard library's client needs 25 ms to import, a third of what a whole push of nothing may take, and
cannot read an answer while it sends; a push has to, because the hub reports progress, or refuses, while the
body still goes out. So this is the part of RFC 9112 that a client needs: fixed and chunked bodies both ways,
keep-alive, informational answers skipped.

Time-outs are for connecting and for silence; nothing limits how long an exchange takes. Silence is when for
so long neither direction moved: a peer that reads slowly, or that sends progress and reads nothing, is alive.
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NamedTuple

from muse.errors import RemoteFailure
from muse.remote.address import Origin
from muse.remote.answer import RECEIVE_BYTES, Answer

if TYPE_CHECKING:
    import ssl

MAX_HEAD_BYTES = 64 << 10
MAX_UNREAD_BYTES = 4 << 20
"""What is kept of an answer that arrives while the request is still going out."""
NO_BODY = frozenset((204, 304))

Body = bytes | Iterable[bytes | memoryview] | None


class Timeouts(NamedTuple):
    connect_s: float = 20.0
    idle_s: float = 60.0


class _Refused(Exception):
    """The other side answered with an error status before it had the whole request."""


class Connection:
    """One connection to one origin. Not for concurrent use. Opens itself when it is first used."""

    def __init__(self, origin: Origin, timeouts: Timeouts, context: ssl.SSLContext | None = None) -> None:
        self.origin = origin
        self.bytes_sent = 0
        self.bytes_received = 0
        self.answered = False
        """Whether anything of the answer to the current request has arrived."""
        self._timeouts = timeouts
        self._context = context
        self._socket: socket.socket | None = None
        self._retry_errors: tuple[type[Exception], ...] = (BlockingIOError, InterruptedError)
        self._buffer = bytearray()
        self._broken = False

    # ---- life

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
            raise self._unreachable(error) from None
        self._socket.setblocking(False)
        self._broken = False

    def _wrap(self, plain: socket.socket) -> socket.socket:
        import ssl

        self._retry_errors = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
        if self._context is None:
            self._context = ssl.create_default_context()
        try:
            return self._context.wrap_socket(plain, server_hostname=self.origin.host)
        except OSError:
            plain.close()
            raise

    def _unreachable(self, error: OSError) -> RemoteFailure:
        reason = (error.strerror or str(error) or type(error).__name__).lower()
        if type(error).__name__ == "SSLCertVerificationError":
            hint = "the certificate of the hub is not trusted by this machine"
        elif isinstance(error, socket.gaierror):
            hint = "is the host's name written correctly?"
        elif getattr(error, "reason", None) == "WRONG_VERSION_NUMBER":
            reason, hint = "it does not speak TLS", "does the hub's address begin with http:// here?"
        else:
            hint = "is the hub running, and is the address right?"
        return RemoteFailure(
            "remote-unreachable",
            f'cannot connect to "{self.origin}": {reason}',
            hint=hint,
            retry=True,
        )

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

    def finish(self, keep_alive: bool) -> None:
        """The answer was read to its end: keep the connection if both sides can."""
        if not keep_alive or self._broken or self._buffer:
            self.close()

    def is_stale(self) -> bool:
        """Say whether the other side has closed, or sent something unasked, since the last exchange."""
        if self._socket is None:
            return True
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return bool(poll.poll(0))

    # ---- one exchange

    def exchange(
        self, method: str, target: str, headers: dict[str, str], body: Body, size_bytes: int | None = None
    ) -> Answer:
        """Send a request and return the answer once its head is there.

        A body in pieces without `size_bytes` goes out chunked. When the other side refuses before it has
        everything, or closes, the rest of the body is not sent and its answer is read. Raises
        `remote-unreachable`, `remote-timeout`, `remote-closed`, `not-a-hub`, and what the body's iterator
        raises.
        """
        if self._socket is None:
            self.open()
        self.answered = False
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.origin.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        chunked = False
        if isinstance(body, bytes):
            lines.append(f"Content-Length: {len(body)}")
        elif body is not None and size_bytes is not None:
            lines.append(f"Content-Length: {size_bytes}")
        elif body is not None:
            lines.append("Transfer-Encoding: chunked")
            chunked = True
        elif method not in ("GET", "HEAD", "DELETE"):
            lines.append("Content-Length: 0")
        head = "\r\n".join((*lines, "", "")).encode("latin-1")
        try:
            if isinstance(body, bytes):
                self._send(head + body)
            else:
                self._send(head)
                if body is not None:
                    self._send_pieces(body, chunked)
        except _Refused:
            self._broken = True
        except BaseException:
            self.close()
            raise
        try:
            return self._read_head(method)
        except BaseException:
            self.close()
            raise

    def _send_pieces(self, pieces: Iterable[bytes | memoryview], chunked: bool) -> None:
        for piece in pieces:
            if not chunked or not piece:
                self._send(piece)
            elif len(piece) < 1 << 14:
                self._send(b"%x\r\n%b\r\n" % (len(piece), bytes(piece)))
            else:
                self._send(b"%x\r\n" % len(piece))
                self._send(piece)
                self._send(b"\r\n")
            if self._broken:
                return
        if chunked:
            self._send(b"0\r\n\r\n")

    def _send(self, data: bytes | memoryview) -> None:
        if self._broken or self._socket is None:
            return
        view = memoryview(data)
        while view:
            try:
                sent = self._socket.send(view)
            except self._retry_errors:
                self._wait_to_send()
                continue
            except OSError:
                self._broken = True  # what it said before it closed may still be read
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
            raise self._silent()
        if events[0][1] & (select.POLLIN | select.POLLHUP | select.POLLERR) and may_read:
            if self._receive_some() is False:
                self._broken = True
            if self._refuses():
                raise _Refused

    def _refuses(self) -> bool:
        """Say whether an answer with an error status has begun to arrive."""
        return self._buffer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5", b"HTTP/1.0 4", b"HTTP/1.0 5"))

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
                raise self._silent()

    def _receive(self) -> bool:
        """Wait for more and keep it; False at the end of the stream. Raises `remote-timeout`."""
        data = self._wait()
        self._buffer += data
        return bool(data)

    def _silent(self) -> RemoteFailure:
        self.close()
        return RemoteFailure(
            "remote-timeout",
            f'"{self.origin}" was silent for {self._timeouts.idle_s:g} seconds',
            hint="run it again; what has arrived is not sent twice",
            retry=True,
        )

    def _closed(self) -> RemoteFailure:
        begun = self.answered
        self.close()
        return RemoteFailure(
            "remote-closed",
            f'"{self.origin}" closed the connection '
            + ("in the middle of an answer" if begun else "without an answer"),
            hint="run it again; what has arrived is not sent twice",
            retry=True,
        )

    def read_line(self) -> bytes:
        """Return the next line without its end."""
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            if start > MAX_HEAD_BYTES:
                raise self._not_http("a line of its answer does not end")
            if not self._receive():
                raise self._closed()
        line = bytes(self._buffer[:end]).rstrip(b"\r")
        del self._buffer[: end + 1]
        return line

    def read_piece(self, max_bytes: int, may_end: bool = False) -> bytes:
        """Return one to `max_bytes` bytes; b"" only where the answer `may_end` by closing."""
        if not self._buffer:
            data = self._wait()
            if len(data) <= max_bytes:
                if not data and not may_end:
                    raise self._closed()
                return data  # nearly always, and not copied
            self._buffer += data
        piece = bytes(memoryview(self._buffer)[:max_bytes])
        del self._buffer[:max_bytes]
        return piece

    def _read_head(self, method: str) -> Answer:
        while True:
            line = self.read_line()
            parts = line.split(None, 2)
            if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
                raise self._not_http("it does not speak HTTP")
            status = int(parts[1])
            headers: dict[str, str] = {}
            size = 0
            while line := self.read_line():
                size += len(line)
                if size > MAX_HEAD_BYTES:
                    raise self._not_http("the head of its answer is too long")
                name, colon, value = line.decode("latin-1").partition(":")
                if colon:
                    headers[name.strip().lower()] = value.strip()
            if status >= 200:
                return Answer(self, status, headers, method != "HEAD" and status not in NO_BODY)

    def _not_http(self, reason: str) -> RemoteFailure:
        return RemoteFailure(
            "not-a-hub",
            f'what answers at "{self.origin}" is not a musehub: {reason}',
            hint="check host and port",
        )
