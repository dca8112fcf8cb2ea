"""A TCP proxy between client and hub that counts what passes and breaks it where a test says so."""

from __future__ import annotations

import re
import socket
import threading
from typing import NamedTuple

from muse.remote.address import Origin

_REQUEST = re.compile(rb"(GET|PUT|POST|DELETE) (\S+) HTTP/1\.1\r\n")


class Fault(NamedTuple):
    """What happens to the `nth` request (from 1) whose target holds `path`, once.

    `cut_request_at`, `cut_answer_at`: both sides are disconnected after so many bytes of it. `drop_answer`:
    the hub's whole answer is read and thrown away, then the client is disconnected. `duplicate`: the hub gets
    the request a second time, on a connection of its own, after it has answered the first.
    """

    path: str
    nth: int = 1
    cut_request_at: int | None = None
    cut_answer_at: int | None = None
    drop_answer: bool = False
    duplicate: bool = False


class Request:
    def __init__(self, method: str, target: str, fault: Fault | None) -> None:
        self.method = method
        self.target = target
        self.fault = fault
        self.bytes_up = 0
        self.bytes_down = 0
        self.sent = b""
        self.answer_tail = b""

    @property
    def kind(self) -> str:
        """The target without owner, repository and query: `push/stream`, `fetch`, `refs`."""
        return self.target.partition("?")[0].split("/", 3)[-1]


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

    def close(self) -> None:
        _shut(self._listener)
        self._listener.close()
        for one in list(self._sockets):
            _shut(one)

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
                if fault.path in target:
                    self._seen[fault] = self._seen.get(fault, 0) + 1
                    if self._seen[fault] == fault.nth:
                        request.fault = fault
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
        for one in (client, hub):
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
            _shut(self._client)
            _shut(self._hub)
            with self._proxy._lock:
                self._left -= 1
                last = not self._left
            if last:
                for one in (self._client, self._hub):
                    self._proxy.untrack(one)
                    one.close()

    def _pump_up(self) -> None:
        while data := self._client.recv(1 << 16):
            request = self._proxy.begin(data)
            if request is not None:
                self._request = request
            request = self._request
            fault = request.fault
            if fault is not None and fault.cut_request_at is not None:
                room = fault.cut_request_at - request.bytes_up
                if len(data) >= room:
                    request.bytes_up += room
                    self._hub.sendall(data[:room])
                    return
            request.bytes_up += len(data)
            if fault is not None and fault.duplicate:
                request.sent += data
            self._hub.sendall(data)

    def _pump_down(self) -> None:
        while data := self._hub.recv(1 << 16):
            request = self._request
            fault = request.fault
            request.bytes_down += len(data)
            if fault is None:
                self._client.sendall(data)
                continue
            if fault.cut_answer_at is not None and request.bytes_down >= fault.cut_answer_at:
                self._client.sendall(data[: len(data) - (request.bytes_down - fault.cut_answer_at)])
                return
            request.answer_tail = (request.answer_tail + data)[-(1 << 20) :]
            if fault.drop_answer:
                if _is_whole(request.answer_tail):
                    return
                continue
            if fault.duplicate and _is_whole(request.answer_tail):
                self._send_again(request)
            self._client.sendall(data)

    def _send_again(self, request: Request) -> None:
        upstream = self._proxy.upstream
        answer = b""
        with socket.create_connection((upstream.host, upstream.port)) as second:
            second.sendall(request.sent)
            while not _is_whole(answer) and (data := second.recv(1 << 16)):
                answer += data


def _is_whole(answer: bytes) -> bool:
    """Say whether an answer (its last megabyte at least) is complete."""
    head, gap, body = answer.partition(b"\r\n\r\n")
    if not gap:
        return False
    length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
    return len(body) >= int(length[1]) if length else answer.endswith(b"0\r\n\r\n")


def _shut(one: socket.socket) -> None:
    try:
        one.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
