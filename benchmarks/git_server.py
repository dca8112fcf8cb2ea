"""`python -m benchmarks.git_server ROOT`: smart HTTP from `git http-backend` for the repositories in ROOT.

A process of its own, so that it shares no interpreter with what measures it. Prints its address.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader
from pathlib import Path
from subprocess import PIPE, Popen
from typing import IO, cast

from benchmarks.git_peer import ENVIRONMENT

BLOCK_BYTES = 1 << 18


class Backend(BaseHTTPRequestHandler):
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
        with Popen(["git", "http-backend"], env=environment, stdin=PIPE, stdout=PIPE) as backend:
            assert backend.stdin is not None
            output = cast(BufferedReader, backend.stdout)
            feeder = threading.Thread(target=self._feed, args=(backend.stdin,))
            feeder.start()
            status, headers = 200, []
            while line := output.readline().strip():
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
            while data := output.read1(BLOCK_BYTES):
                self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.write(b"0\r\n\r\n")
            feeder.join()

    def _feed(self, sink: IO[bytes]) -> None:
        for data in self._body():
            sink.write(data)
        sink.close()

    def _body(self) -> Iterator[bytes]:
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            data = self.rfile.read1(min(left, BLOCK_BYTES))
            left -= len(data)
            yield data


def main() -> None:
    Backend.root = Path(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Backend)
    print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
