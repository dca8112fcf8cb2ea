"""HTTP/1.1 on a channel: one exchange at a time, both directions open at once.

The standard library's client needs 25 ms to import, a third of what a whole push of nothing may take, and
cannot read an answer while it sends; a push has to, because the hub reports progress, or refuses, while the
body still goes out. So this is the part of RFC 9112 that a client needs: fixed and chunked bodies both ways,
keep-alive, informational answers skipped.
"""

from __future__ import annotations

from collections.abc import Iterable

from muse.remote.answer import Answer
from muse.remote.channel import Channel, Refused
from muse.remote.failures import not_a_hub

MAX_HEAD_BYTES = 64 << 10
NO_BODY = frozenset((204, 304))

Body = bytes | Iterable[bytes | memoryview] | None


class Connection(Channel):
    """A channel on which HTTP is spoken. Opens itself when it is first used."""

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
        if isinstance(body, bytes):
            size_bytes = len(body)
        head = self._encode_head(method, target, headers, body is not None, size_bytes)
        try:
            if isinstance(body, bytes):
                self.send(head + body)
            else:
                self.send(head)
                if body is not None:
                    self._send_pieces(body, chunked=size_bytes is None)
        except Refused:
            self.broken = True
        except BaseException:
            self.close()
            raise
        try:
            return self._read_head(method)
        except BaseException:
            self.close()
            raise

    def _encode_head(
        self, method: str, target: str, headers: dict[str, str], has_body: bool, size_bytes: int | None
    ) -> bytes:
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.origin.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if has_body:
            lines.append(
                "Transfer-Encoding: chunked" if size_bytes is None else f"Content-Length: {size_bytes}"
            )
        elif method not in ("GET", "HEAD", "DELETE"):
            lines.append("Content-Length: 0")
        return "\r\n".join((*lines, "", "")).encode("latin-1")

    def _send_pieces(self, pieces: Iterable[bytes | memoryview], *, chunked: bool) -> None:
        for piece in pieces:
            if not chunked or not piece:
                self.send(piece)
            elif len(piece) < 1 << 14:
                self.send(b"%x\r\n%b\r\n" % (len(piece), bytes(piece)))
            else:
                self.send(b"%x\r\n" % len(piece))
                self.send(piece)
                self.send(b"\r\n")
            if self.broken:
                return
        if chunked:
            self.send(b"0\r\n\r\n")

    def is_refused(self) -> bool:
        """Say whether an answer with an error status has begun to arrive."""
        return self._buffer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5", b"HTTP/1.0 4", b"HTTP/1.0 5"))

    def _read_head(self, method: str) -> Answer:
        while True:
            line = self.read_line()
            parts = line.split(None, 2)
            if len(parts) < 2 or not parts[0].startswith(b"HTTP/1.") or not parts[1].isdigit():
                raise not_a_hub(self.origin, "it does not speak HTTP")
            status = int(parts[1])
            headers: dict[str, str] = {}
            size = 0
            while line := self.read_line():
                size += len(line)
                if size > MAX_HEAD_BYTES:
                    raise not_a_hub(self.origin, "the head of its answer is too long")
                name, colon, value = line.decode("latin-1").partition(":")
                if colon:
                    headers[name.strip().lower()] = value.strip()
            if status >= 200:
                return Answer(self, status, headers, method != "HEAD" and status not in NO_BODY)

    def finish(self, keep_alive: bool) -> None:
        """The answer was read to its end: keep the connection if both sides can."""
        if not keep_alive or self.broken or self._buffer:
            self.close()
