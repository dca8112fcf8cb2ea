"""The answer to a request: a status, headers, and a body that is read as it arrives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from muse.errors import RemoteFailure

RECEIVE_BYTES = 256 << 10


class Incoming(Protocol):
    """What an answer needs of the connection that it arrives on."""

    def read_line(self) -> bytes: ...
    def read_piece(self, max_bytes: int, may_end: bool = False) -> bytes: ...
    def finish(self, keep_alive: bool) -> None: ...
    def close(self) -> None: ...


class Answer:
    """A status, headers in lower case, and a body that is read in pieces.

    Read to its end the connection can be used again; otherwise call `close`.
    """

    def __init__(self, connection: Incoming, status: int, headers: dict[str, str], has_body: bool) -> None:
        self.status = status
        self.headers = headers
        self._connection = connection
        self._left: int | None = None
        self._chunked = False
        self.ended = False
        self.keep_alive = "close" not in headers.get("connection", "").lower()
        if not has_body:
            self._end()
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            self._chunked = True
            self._left = 0
        elif "content-length" in headers:
            self._left = _parse_number(headers["content-length"], 10)
            if self._left == 0:
                self._end()
        else:
            self.keep_alive = False

    def read(self) -> bytes:
        """Return the next piece as it arrives, b"" at the end; raises `remote-closed`, `remote-timeout`."""
        if self.ended:
            return b""
        try:
            return self._read()
        except BaseException:
            self.close()
            raise

    def _read(self) -> bytes:
        connection = self._connection
        if self._chunked and self._left == 0:
            line = connection.read_line()
            self._left = _parse_number(line.partition(b";")[0].strip().decode("latin-1"), 16)
            if self._left == 0:
                while connection.read_line():
                    pass
                self._end()
                return b""
        if self._left is None:
            piece = connection.read_piece(RECEIVE_BYTES, may_end=True)
            if not piece:
                self._end()
            return piece
        piece = connection.read_piece(self._left)
        self._left -= len(piece)
        if self._left == 0:
            if self._chunked:
                connection.read_line()
            else:
                self._end()
        return piece

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read():
            yield piece

    def read_all(self, max_bytes: int) -> bytes:
        """Return the rest; raises `remote-error` when it is longer than `max_bytes`."""
        pieces = []
        size = 0
        for piece in self:
            size += len(piece)
            if size > max_bytes:
                self.close()
                raise RemoteFailure(
                    "remote-error", f"the remote sent an answer of more than {max_bytes} bytes"
                )
            pieces.append(piece)
        return b"".join(pieces)

    def close(self) -> None:
        if not self.ended:
            self.ended = True
            self._connection.close()

    def _end(self) -> None:
        self.ended = True
        self._connection.finish(self.keep_alive)


def _parse_number(text: str, base: int) -> int:
    try:
        value = int(text, base)
    except ValueError:
        value = -1
    if value < 0:
        raise RemoteFailure("remote-error", "the remote sent an answer whose length cannot be read")
    return value
