"""A server for tests of clients: each connection is answered by the next function of a script."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from muse.remote.address import Origin


class Peer:
    """One accepted connection, and what came over it."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self._file = connection.makefile("rb")

    def read_head(self) -> tuple[str, dict[str, str]]:
        """Read a request's first line and headers; ("", {}) at the end of the connection."""
        first = self._file.readline().decode().strip()
        headers = {}
        while line := self._file.readline().strip():
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        return first, headers

    def read(self, size: int) -> bytes:
        return self._file.read(size)

    def read_chunked(self) -> bytes:
        body = b""
        while size := int(self._file.readline(), 16):
            body += self._file.read(size)
            self._file.readline()
        self._file.readline()
        return body

    def read_request(self) -> tuple[str, dict[str, str], bytes]:
        first, headers = self.read_head()
        if "chunked" in headers.get("transfer-encoding", ""):
            return first, headers, self.read_chunked()
        return first, headers, self.read(int(headers.get("content-length", 0)))

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def answer(self, status: int = 200, body: bytes = b"", **headers: str) -> None:
        lines = [f"HTTP/1.1 {status} Whatever", f"Content-Length: {len(body)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        self.send("\r\n".join((*lines, "", "")).encode() + body)

    def close(self) -> None:
        self._file.close()
        self.socket.close()


Handler = Callable[[Peer], None]


class ScriptedServer:
    """Listens on a free port; connection n goes to handler n, the last one takes all that follow."""

    def __init__(self, *handlers: Handler) -> None:
        self.connections = 0
        self._handlers = handlers
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = Origin("http", "127.0.0.1", self._listener.getsockname()[1])
        self._peers: list[Peer] = []
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            handler = self._handlers[min(self.connections, len(self._handlers) - 1)]
            self.connections += 1
            peer = Peer(connection)
            self._peers.append(peer)
            thread = threading.Thread(target=self._serve, args=(handler, peer), daemon=True)
            self._threads.append(thread)
            thread.start()

    @staticmethod
    def _serve(handler: Handler, peer: Peer) -> None:
        try:
            handler(peer)
        except (OSError, ValueError):
            pass
        finally:
            peer.close()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in list(self._peers):
            try:
                peer.socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        for thread in self._threads:
            thread.join(5)


@contextmanager
def serve_script(*handlers: Handler) -> Iterator[ScriptedServer]:
    server = ScriptedServer(*handlers)
    try:
        yield server
    finally:
        server.close()
