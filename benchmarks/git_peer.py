"""Git as the peer: histories through fast-import, and smart HTTP from `git http-backend` on loopback."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from benchmarks.histories import Step

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "bench",
    "GIT_AUTHOR_EMAIL": "bench@example.org",
    "GIT_COMMITTER_NAME": "bench",
    "GIT_COMMITTER_EMAIL": "bench@example.org",
}


def git(*arguments: str | Path, cwd: Path, stdin: bytes | None = None) -> bytes:
    return subprocess.run(
        ["git", *map(os.fspath, arguments)],
        cwd=cwd,
        env=ENVIRONMENT,
        input=stdin,
        check=True,
        capture_output=True,
    ).stdout


def fast_import(steps: Iterator[Step], directory: Path) -> None:
    """Write a history into a new bare repository, commit by commit, as one pack."""
    directory.mkdir(parents=True)
    git("init", "-q", "--bare", "-b", "main", ".", cwd=directory)
    with subprocess.Popen(
        ["git", "fast-import", "--quiet"], cwd=directory, env=ENVIRONMENT, stdin=subprocess.PIPE
    ) as process:
        out = process.stdin
        assert out is not None
        for number, step in enumerate(steps):
            out.write(b"commit refs/heads/main\n")
            out.write(b"committer bench <bench@example.org> %d +0000\n" % (1_700_000_000 + number))
            message = step.message.encode()
            out.write(b"data %d\n%s\n" % (len(message), message))
            for path, content in step.files.items():
                out.write(b"M 100644 inline %s\ndata %d\n" % (path.encode(), len(content)))
                out.write(content)
                out.write(b"\n")
        out.close()
    if process.returncode:
        raise RuntimeError("git fast-import failed")


class _Backend(BaseHTTPRequestHandler):
    """One request, one `git http-backend`; bodies are streamed both ways."""

    protocol_version = "HTTP/1.1"
    root: Path

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def log_message(self, *args: object) -> None:
        pass

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        environment = {
            **ENVIRONMENT,
            "GIT_PROJECT_ROOT": str(self.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "REMOTE_USER": "bench",
            "REMOTE_ADDR": "127.0.0.1",
            "REQUEST_METHOD": self.command,
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
        }
        if "Content-Length" in self.headers:
            environment["CONTENT_LENGTH"] = self.headers["Content-Length"]
        with subprocess.Popen(
            ["git", "http-backend"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as backend:
            assert backend.stdin is not None
            assert backend.stdout is not None
            feeder = threading.Thread(target=self._feed, args=(backend.stdin,))
            feeder.start()
            status, headers = 200, []
            while line := backend.stdout.readline().strip():
                name, _, value = line.decode().partition(": ")
                if name == "Status":
                    status = int(value.split()[0])
                else:
                    headers.append((name, value))
            self.send_response(status)
            for name, value in headers:
                self.send_header(name, value)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            while data := backend.stdout.read1(1 << 18):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.write(b"0\r\n\r\n")
            feeder.join()

    def _feed(self, sink: object) -> None:
        for data in self._body():
            sink.write(data)  # type: ignore[attr-defined]
        sink.close()  # type: ignore[attr-defined]

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            data = self.rfile.read1(min(left, 1 << 18))
            left -= len(data)
            yield data


@contextmanager
def smart_http(root: Path) -> Iterator[str]:
    """Serve the repositories below `root`; yields the address."""
    handler = type("Backend", (_Backend,), {"root": root})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def serve_empty(root: Path, name: str) -> None:
    """Make an empty repository that accepts pushes."""
    git("init", "-q", "--bare", "-b", "main", name, cwd=root)
    git("config", "http.receivepack", "true", cwd=root / name)
    git("config", "http.uploadpack", "true", cwd=root / name)
