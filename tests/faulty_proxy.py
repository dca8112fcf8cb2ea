"""A TCP proxy between two programs that counts what passes and breaks it where a test says so."""

from __future__ import annotations

import re
import socket
import struct
import threading
from collections.abc import Callable
from typing import NamedTuple

from muse.remote.address import Origin

_REQUEST = re.compile(rb"(GET|HEAD|PUT|POST|DELETE) (\S+) HTTP/1\.1\r\n")
_PATIENCE_S = 30.0
_RESET = struct.pack("ii", 1, 0)

BEFORE = "before"
"""The request has arrived here and nothing of it has gone on."""
REQUEST = "request"
"""So many bytes of the request have gone on."""
SENT = "sent"
"""The whole request has gone on."""
ANSWER = "answer"
"""So many bytes of the answer have gone on."""
DONE = "done"
"""The work is done: the whole answer has arrived here and nothing of it has gone on."""

CLOSE = "close"
RESET = "reset"
STALL = "stall"
"""Nothing goes either way any more until the side that asked gives up."""
AGAIN = "again"
"""The request is sent a second time, on a connection of its own, after its first answer: only at `DONE`."""
REPLACE = "replace"
"""`answer` is what the client gets; the request goes nowhere: only at `BEFORE`."""


class Fault(NamedTuple):
    """What happens to the `nth` request (from 1) whose target holds `path`, once.

    `cut_request_at`, `cut_answer_at`: both sides are disconnected after so many bytes of it. `drop_answer`:
    the hub's whole answer is read and thrown away, then the client is disconnected. `duplicate`: the hub gets
    the request a second time, on a connection of its own, after it has answered the first. Those are short
    for a `moment` and an `effect`. At the moment `run` is called first; `rewrite` replaces in the first line
    of the request, as a regular expression and its replacement of the same length.
    """

    path: str
    nth: int = 1
    cut_request_at: int | None = None
    cut_answer_at: int | None = None
    drop_answer: bool = False
    duplicate: bool = False
    method: str = ""
    moment: str = ""
    after_bytes: int = 0
    effect: str = ""
    answer: bytes = b""
    run: Callable[[], None] | None = None
    rewrite: tuple[bytes, bytes] | None = None

    def spelled_out(self) -> Fault:
        """The same with `moment` and `effect`."""
        if self.cut_request_at is not None:
            return self._replace(moment=REQUEST, after_bytes=self.cut_request_at, effect=CLOSE)
        if self.cut_answer_at is not None:
            return self._replace(moment=ANSWER, after_bytes=self.cut_answer_at, effect=CLOSE)
        if self.drop_answer:
            return self._replace(moment=DONE, effect=CLOSE)
        if self.duplicate:
            return self._replace(moment=DONE, effect=AGAIN)
        return self


class Request:
    def __init__(self, method: str, target: str, fault: Fault | None) -> None:
        self.method = method
        self.target = target
        self.fault = fault
        self.bytes_up = 0
        self.bytes_down = 0
        self.sent = b""
        self.stalled = False
        self._head = b""
        self._tail = b""

    @property
    def kind(self) -> str:
        """The target without owner, repository and query: `push/stream`, `fetch`, `refs`."""
        return self.target.partition("?")[0].split("/", 3)[-1]

    @property
    def body_bytes_up(self) -> int:
        head, gap, _ = self._head.partition(b"\r\n\r\n")
        return max(0, self.bytes_up - len(head) - len(gap))

    def at(self, moment: str) -> Fault | None:
        """The fault, if this is its moment."""
        return self.fault if self.fault is not None and self.fault.moment == moment else None

    def take(self, data: bytes) -> None:
        if b"\r\n\r\n" not in self._head:
            self._head += data
        self._tail = (self._tail + data)[-8:]

    def is_whole(self, size_bytes: int) -> bool:
        """Say whether the request is complete with so many bytes of it."""
        head, gap, _ = self._head.partition(b"\r\n\r\n")
        if not gap:
            return False
        length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
        if length:
            return size_bytes >= len(head) + 4 + int(length[1])
        return b"chunked" not in head.lower() or self._tail.endswith(b"0\r\n\r\n")


class FaultyProxy:
    """Forwards connections to `upstream`. Set `faults` at any time; each is used up when it happens."""

    def __init__(self, upstream: Origin) -> None:
        self.upstream = upstream
        self.requests: list[Request] = []
        self.faults: list[Fault] = []
        self.happened: list[Fault] = []
        self._seen: dict[Fault, int] = {}
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.origin = Origin("http", "127.0.0.1", self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def kinds(self) -> list[str]:
        return [request.kind for request in self.requests]

    @property
    def bytes_up(self) -> int:
        return sum(request.bytes_up for request in self.requests)

    def reset(self) -> None:
        """Forget what was counted and all faults."""
        with self._lock:
            self.requests.clear()
            self.faults.clear()
            self.happened.clear()
            self._seen.clear()

    def disconnect(self) -> None:
        """End every connection that there is."""
        for one in list(self._sockets):
            _shut(one)

    def close(self) -> None:
        _shut(self._listener)
        self._listener.close()
        self.disconnect()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                hub = socket.create_connection((self.upstream.host, self.upstream.port))
            except OSError:
                client.close()
                continue
            _Link(self, client, hub)

    def begin(self, data: bytes) -> Request | None:
        """Return the request that `data` begins, None in the middle of one."""
        match = _REQUEST.match(data)
        if match is None:
            return None
        method, target = match[1].decode(), match[2].decode()
        with self._lock:
            request = Request(method, target, None)
            for fault in self.faults:
                if fault.path in target and fault.method in ("", method):
                    self._seen[fault] = self._seen.get(fault, 0) + 1
                    if self._seen[fault] == fault.nth:
                        request.fault = fault.spelled_out()
                        self.happened.append(fault)
                        self.faults.remove(fault)
                        break
            self.requests.append(request)
        return request

    def track(self, one: socket.socket) -> None:
        with self._lock:
            self._sockets.add(one)

    def untrack(self, one: socket.socket) -> None:
        with self._lock:
            self._sockets.discard(one)


class _Link:
    """One connection of a client and its counterpart to the hub; a thread for each direction."""

    def __init__(self, proxy: FaultyProxy, client: socket.socket, hub: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._hub = hub
        self._request = Request("", "", None)
        self._left = 2
        self._ending = socket.SHUT_RDWR
        self._client_gone = threading.Event()
        for one in (client, hub):
            # What both programs do: a small piece does not wait for the receipt of the one before.
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            proxy.track(one)
        threading.Thread(target=self._run, args=(self._pump_up,), daemon=True).start()
        threading.Thread(target=self._run, args=(self._pump_down,), daemon=True).start()

    def _run(self, pump: object) -> None:
        assert callable(pump)
        try:
            pump()
        except OSError:
            pass
        finally:
            _shut(self._client, self._ending)
            _shut(self._hub, self._ending)
            with self._proxy._lock:
                self._left -= 1
                last = not self._left
            if last:
                for one in (self._client, self._hub):
                    self._proxy.untrack(one)
                    one.close()

    def _pump_up(self) -> None:
        try:
            while data := self._client.recv(1 << 16):
                request = self._proxy.begin(data)
                if request is not None:
                    self._request = request
                if not self._send_up(self._request, data):
                    return
        finally:
            self._client_gone.set()

    def _send_up(self, request: Request, data: bytes) -> bool:
        request.take(data)
        fault = request.fault
        if fault is not None and fault.rewrite is not None and not request.bytes_up:
            line, end, rest = data.partition(b"\r\n")
            data = re.sub(fault.rewrite[0], fault.rewrite[1], line) + end + rest
        if (fault := request.at(BEFORE)) is not None:
            if fault.effect == REPLACE:
                request.bytes_up += len(data)
                if request.is_whole(request.bytes_up):
                    self._client.sendall(fault.answer)
                    return False
                return True
            if not request.bytes_up and not self._strike(request, fault):
                return False
        if (fault := request.at(REQUEST)) is not None:
            room = max(0, fault.after_bytes - request.bytes_up)
            if len(data) >= room:
                request.bytes_up += room
                self._hub.sendall(data[:room])
                request.fault = None
                if not self._strike(request, fault):
                    return False
                data = data[room:]
        request.bytes_up += len(data)
        if (fault := request.at(DONE)) is not None and fault.effect == AGAIN:
            request.sent += data
        self._hub.sendall(data)
        fault = request.at(SENT)
        if fault is not None and request.is_whole(request.bytes_up):
            return self._strike(request, fault)
        return True

    def _pump_down(self) -> None:
        held = b""
        while data := self._hub.recv(1 << 16):
            request = self._request
            request.bytes_down += len(data)
            if request.stalled:
                continue
            if (fault := request.at(ANSWER)) is not None and request.bytes_down >= fault.after_bytes:
                self._client.sendall(data[: len(data) - (request.bytes_down - fault.after_bytes)])
                data = data[len(data) - (request.bytes_down - fault.after_bytes) :]
                request.fault = None
                if not self._strike(request, fault):
                    return
            if (fault := request.at(DONE)) is not None:
                held += data
                if not _is_whole(held, request.method):
                    continue
                request.fault = None
                if not self._strike(request, fault):
                    return
                data, held = held, b""
            self._client.sendall(data)
        if self._request.stalled:
            self._client_gone.wait(_PATIENCE_S)
        elif held:
            self._client.sendall(held)

    def _strike(self, request: Request, fault: Fault) -> bool:
        """Let a fault happen; False when the link ends with it."""
        if fault.run is not None:
            fault.run()
        if fault.effect == AGAIN:
            self._send_again(request)
        if fault.effect == RESET:
            # Closing resets then; shut for reading only, a connection does not end in order before that.
            self._ending = socket.SHUT_RD
            for one in (self._client, self._hub):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        if fault.effect == STALL:
            request.stalled = True
            if fault.moment in (ANSWER, DONE):
                self._client_gone.wait(_PATIENCE_S)
            else:
                self._client.settimeout(_PATIENCE_S)
                while self._client.recv(1 << 16):
                    pass
        return fault.effect not in (CLOSE, RESET, STALL)

    def _send_again(self, request: Request) -> None:
        upstream = self._proxy.upstream
        answer = b""
        with socket.create_connection((upstream.host, upstream.port)) as second:
            second.sendall(request.sent)
            while not _is_whole(answer, request.method) and (data := second.recv(1 << 16)):
                answer += data


def _is_whole(answer: bytes, method: str = "") -> bool:
    """Say whether an answer is complete."""
    head, gap, body = answer.partition(b"\r\n\r\n")
    if not gap:
        return False
    if method == "HEAD" or head.startswith((b"HTTP/1.1 204", b"HTTP/1.1 304")):
        return True
    length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
    return len(body) >= int(length[1]) if length else answer.endswith(b"0\r\n\r\n")


def _shut(one: socket.socket, how: int = socket.SHUT_RDWR) -> None:
    try:
        one.shutdown(how)
    except OSError:
        pass
