"""The server as raw routes need it: both directions at once, back-pressure, disconnects, an orderly end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest
from litestar.types import Receive, Scope, Send

from muse.errors import Conflict, Environment
from musehub.app.dispatch import HubApp, compile_path
from musehub.app.listen import RunningServer, open_socket, socket_url
from musehub.wire_http.route import RawRoute

Handler = Callable[[Scope, Receive, Send, dict[str, str]], Awaitable[None]]


async def no_pages(scope: Scope, receive: Receive, send: Send) -> None:
    """Stands below the raw routes: nothing at any address."""
    await start(send, 404)
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def start(send: Send, status: int = 200) -> None:
    await send({"type": "http.response.start", "status": status, "headers": []})


async def say(send: Send, text: str, more: bool = True) -> None:
    await send({"type": "http.response.body", "body": text.encode(), "more_body": more})


class Served:
    """A running server and a way to talk to it in raw bytes."""

    def __init__(self, server: RunningServer, task: asyncio.Task[None], port: int) -> None:
        self.server = server
        self.task = task
        self.port = port

    async def send(self, head: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(head.replace("\n", "\r\n").encode() + b"\r\n\r\n")
        await writer.drain()
        return reader, writer

    async def ask(self, head: str) -> str:
        reader, writer = await self.send(head + "\nConnection: close")
        answer = await reader.read()
        writer.close()
        return answer.decode()


@asynccontextmanager
async def served(handler: Handler) -> AsyncIterator[Served]:
    listener = open_socket("127.0.0.1", 0)
    routes = [RawRoute(method, "/{owner}/{name}/raw", handler) for method in ("GET", "POST")]
    server = RunningServer(HubApp(no_pages, routes), listener)
    task = asyncio.create_task(server.run())
    try:
        yield Served(server, task, listener.getsockname()[1])
    finally:
        await server.stop(0)
        await task
        listener.close()


POST = "POST /ada/songs/raw HTTP/1.1\nHost: hub\nTransfer-Encoding: chunked"


async def test_the_answer_flows_while_the_request_does() -> None:
    async def echo(scope: Scope, receive: Receive, send: Send, parts: dict[str, str]) -> None:
        await start(send)
        await say(send, f"{parts['owner']}/{parts['name']};")
        while (message := await receive())["type"] == "http.request":
            if message["body"]:
                await say(send, message["body"].decode() + ";")
            if not message["more_body"]:
                break
        await say(send, "end;", more=False)

    async with served(echo) as hub:
        reader, writer = await hub.send(POST)
        assert b"ada/songs;" in await reader.readuntil(b";")
        for text in (b"one", b"two", b"three"):
            writer.write(b"%x\r\n%s\r\n" % (len(text), text))
            assert text in await reader.readuntil(b";")
        writer.write(b"0\r\n\r\n")
        assert b"end" in await reader.readuntil(b";")
        writer.close()


async def test_a_client_that_goes_away_is_noticed() -> None:
    seen: asyncio.Queue[str] = asyncio.Queue()

    async def wait(scope: Scope, receive: Receive, send: Send, parts: dict[str, str]) -> None:
        await start(send)
        await say(send, "here;")
        while True:
            message = await receive()
            await seen.put(message["type"])
            if message["type"] == "http.disconnect":
                return

    async with served(wait) as hub:
        reader, writer = await hub.send(POST)
        await reader.readuntil(b"here;")
        writer.close()
        while await seen.get() != "http.disconnect":
            pass


async def test_a_client_that_does_not_read_holds_the_handler_up() -> None:
    sent = 0
    stuck = asyncio.Event()

    async def flood(scope: Scope, receive: Receive, send: Send, parts: dict[str, str]) -> None:
        nonlocal sent
        await start(send)
        for _ in range(400):
            task = asyncio.ensure_future(say(send, "x" * 1_000_000))
            done, _ = await asyncio.wait([task], timeout=0.5)
            if not done:
                stuck.set()
            await task
            sent += 1

    async with served(flood) as hub:
        _, writer = await hub.send("GET /ada/songs/raw HTTP/1.1\nHost: hub")
        await stuck.wait()
        assert sent < 100
        writer.close()


async def test_errors_of_raw_handlers_look_like_all_others() -> None:
    async def fail(scope: Scope, receive: Receive, send: Send, parts: dict[str, str]) -> None:
        if parts["name"] == "known":
            raise Conflict("stale-head", "the branch moved")
        raise ZeroDivisionError

    async with served(fail) as hub:
        known = await hub.ask("GET /ada/known/raw HTTP/1.1\nHost: hub")
        assert "409" in known.splitlines()[0]
        assert '"stale-head"' in known
        defect = await hub.ask("GET /ada/other/raw HTTP/1.1\nHost: hub")
        assert "500" in defect.splitlines()[0]
        assert '"incident"' in defect
        assert "ZeroDivision" not in defect


async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one() -> None:
    async def fail(scope: Scope, receive: Receive, send: Send, parts: dict[str, str]) -> None:
        await start(send)
        await say(send, "half")
        raise ZeroDivisionError

    async with served(fail) as hub:
        answer = await hub.ask("GET /ada/songs/raw HTTP/1.1\nHost: hub")
        assert "half" in answer
        assert not answer.endswith("0\r\n\r\n"), "the last chunk says that the answer is complete"


async def test_stopping_lets_running_requests_end_and_refuses_new_ones() -> None:
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow(scope: Scope, receive: Receive, send: Send, parts: dict[str, str]) -> None:
        entered.set()
        await leave.wait()
        await start(send)
        await say(send, "done", more=False)

    async with served(slow) as hub:
        running = asyncio.create_task(hub.ask("GET /ada/songs/raw HTTP/1.1\nHost: hub"))
        await entered.wait()
        stopping = asyncio.create_task(hub.server.stop(60))
        await asyncio.sleep(0)
        refused = await hub.ask("GET /ada/songs/raw HTTP/1.1\nHost: hub")
        assert "503" in refused.splitlines()[0]
        leave.set()
        assert (await running).endswith("done")
        await stopping
        await hub.task


async def test_stopping_cancels_what_does_not_end_in_time() -> None:
    entered = asyncio.Event()
    outcome: list[str] = []

    async def endless(scope: Scope, receive: Receive, send: Send, parts: dict[str, str]) -> None:
        entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise

    async with served(endless) as hub:
        _, writer = await hub.send("GET /ada/songs/raw HTTP/1.1\nHost: hub")
        await entered.wait()
        await hub.server.stop(0.01)
        await hub.task
        writer.close()
    assert outcome == ["cancelled"]


async def test_a_client_that_never_reads_cannot_keep_the_server_from_stopping() -> None:
    async def flood(scope: Scope, receive: Receive, send: Send, parts: dict[str, str]) -> None:
        await start(send)
        for _ in range(100):
            with suppress(TimeoutError):
                await asyncio.wait_for(say(send, "x" * 1_000_000), 0.1)

    async with served(flood) as hub:
        _, writer = await hub.send("GET /ada/songs/raw HTTP/1.1\nHost: hub")
        await hub.server.stop(0.5)
        await hub.task
        writer.close()


async def test_a_port_is_never_shared() -> None:
    with open_socket("127.0.0.1", 0) as listener:
        port = listener.getsockname()[1]
        assert socket_url(listener) == f"http://127.0.0.1:{port}"
        with pytest.raises(Environment) as caught:
            open_socket("127.0.0.1", port)
    assert caught.value.code == "address-in-use"


def test_addresses_that_cannot_be_listened_on() -> None:
    for host in ("192.0.2.1", "no such host"):
        with pytest.raises(Environment):
            open_socket(host, 0)


@pytest.mark.parametrize(
    ("template", "path", "parts"),
    [
        ("/{owner}/{name}/push/stream", "/ada/songs/push/stream", {"owner": "ada", "name": "songs"}),
        ("/{owner}/{name}/push/stream", "/ada/songs/x/push/stream", None),
        ("/{owner}/{name}/push/stream", "/ada//push/stream", None),
        ("/store/{key:path}", "/store/a/b.pack", {"key": "a/b.pack"}),
        ("/a.b", "/axb", None),
    ],
)
def test_path_templates(template: str, path: str, parts: dict[str, str] | None) -> None:
    match = compile_path(template).fullmatch(path)
    assert (match.groupdict() if match else None) == parts


def test_small_frames_of_an_answer_do_not_wait_for_each_other() -> None:
    with open_socket("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        listener.setblocking(True)
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
