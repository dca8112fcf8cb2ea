"""A real S3 server for tests: SeaweedFS from the development extra, on loopback."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil
import pytest

PROVIDED = "MUSE_TEST_S3_URL"
"""Address of a server that somebody provides, `s3://any?endpoint=…`; keys in the two variables below."""
ACCESS_KEY, SECRET_KEY = "test-access", "test-secret"
_numbers = itertools.count()


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on, each with its gRPC port 10,000 above free, too.

    Both lie below those that the system gives to outgoing connections: a server that is away for a moment
    finds them free when it comes back.
    """
    found: list[int] = []
    for port in range(11_000 + os.getpid() % 500 * 20, 22_700):
        if len(found) == count:
            break
        try:
            for each in (port, port + 10_000):
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", each))
        except OSError:
            continue
        found.append(port)
    return found


@contextmanager
def shared_seaweedfs(folder: Path) -> Iterator[SeaweedFS]:
    """A server for all processes that run tests at the same time.

    The first one starts it, the last one ends it and removes the folder.
    """
    for left in folder.parent.glob(f"{folder.name.rpartition('-')[0]}-*"):
        if left != folder:
            _sweep(left)
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder) as users:
        running = folder / "server.json"
        if running.exists():
            server = SeaweedFS(folder, running=json.loads(running.read_text())["endpoint"])
        else:
            server = SeaweedFS(folder)
            running.write_text(
                json.dumps({"endpoint": server.endpoint, "pid": server.pid, "ports": server.ports})
            )
        users.append(os.getpid())
    try:
        yield server
    finally:
        with _locked(folder) as users:
            users.remove(os.getpid())
            if users:
                server.leave()
            else:
                server.stop()
                _end(folder)


def _sweep(folder: Path) -> None:
    """End what a test run left behind that was killed itself."""
    if not (folder / "server.json").exists():
        return  # about to be started
    try:
        with _locked(folder) as users:
            if not any(psutil.pid_exists(user) for user in users):
                _end(folder)
    except OSError:
        pass  # somebody else's, or just being removed


def _end(folder: Path) -> None:
    try:
        running = json.loads((folder / "server.json").read_text())
        process = psutil.Process(running["pid"])
        if Path(process.cwd()) == folder:  # the number may be another process's by now
            process.kill()
            psutil.wait_procs([process], timeout=10)
            remove_sockets(running["ports"])
    except (OSError, ValueError, KeyError, psutil.Error):
        pass
    shutil.rmtree(folder, ignore_errors=True)


def remove_sockets(ports: list[int]) -> None:
    """The server makes them for each of its ports, always there, and leaves them when it is killed."""
    for port in ports:
        for number in (port, port + 10_000):
            for path in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):
                path.unlink(missing_ok=True)


@contextmanager
def _locked(folder: Path) -> Iterator[list[int]]:
    """The processes that use the server; changes are kept."""
    with (folder / "users").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        users = [int(line) for line in file.read().split()]
        yield users
        file.seek(0)
        file.truncate()
        file.write("\n".join(map(str, users)))


class SeaweedFS:
    """A server that `start` and `stop` act on; its data stay in `folder`.

    `running`: the address of one that runs already.
    """

    def __init__(self, folder: Path, running: str | None = None) -> None:
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self.ports: list[int] = []
        if running is not None:
            self.endpoint = running
            provided_keys = (
                os.environ.get("MUSE_TEST_S3_ACCESS_KEY"),
                os.environ.get("MUSE_TEST_S3_SECRET_KEY"),
            )
            self.keys = (provided_keys[0] or ACCESS_KEY, provided_keys[1] or SECRET_KEY)
            return
        provided = os.environ.get(PROVIDED)
        if provided:
            self.endpoint = provided.partition("endpoint=")[2]
            self.keys = (os.environ["MUSE_TEST_S3_ACCESS_KEY"], os.environ["MUSE_TEST_S3_SECRET_KEY"])
            return
        self._program = shutil.which("weed", path=os.path.dirname(sys.executable)) or shutil.which("weed")
        if self._program is None:
            pytest.skip("no S3 server: the program `weed` of the development extra is not installed")
        self.keys = (ACCESS_KEY, SECRET_KEY)
        folder.mkdir(parents=True, exist_ok=True)
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        (folder / "data").mkdir(exist_ok=True)
        self.ports = free_ports(5)
        self.endpoint = f"http://127.0.0.1:{self.ports[0]}"
        self.start()

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process is not None else None

    def leave(self) -> None:
        """Let it run on for others."""
        if self._process is not None:
            self._process.returncode = 0  # it is not waited for, and that is meant
            self._process = None

    def start(self) -> None:
        """Start on the same ports and wait until it answers."""
        assert self._program is not None
        s3, master, volume, filer, admin = map(str, self.ports)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._program,
                    # Everything in one process, each part as soon as the one before answers: half a second.
                    # `weed server` pauses between them, three seconds in all.
                    "mini",
                    "-dir=data",
                    "-ip=127.0.0.1",
                    "-ip.bind=127.0.0.1",
                    f"-master.port={master}",
                    f"-volume.port={volume}",
                    f"-filer.port={filer}",
                    f"-admin.port={admin}",
                    "-admin.ui=false",
                    "-webdav=false",
                    f"-s3.port={s3}",
                    "-s3.config=s3.json",
                    # These have ports of their own that only one server of a machine could have.
                    "-s3.port.iceberg=0",
                    "-s3.port.lance=0",
                    "-volume.max=50",
                    "-master.volumeSizeLimitMB=512",
                    "-master.telemetry=false",
                    # Without these it may wait ten seconds for other masters before it goes on after a crash.
                    "-master.electionTimeout=1s",
                    "-master.heartbeatInterval=100ms",
                ],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and self._process.poll() is None:
            if self._answers():
                return
            time.sleep(0.02)
        raise RuntimeError(f"the S3 server did not start:\n{(self._folder / 'log').read_text()[-3000:]}")

    def _answers(self) -> bool:
        """It does once it takes an object: master, volume server, filer and gateway have found each other."""
        try:
            self._put("ready")
            self._put("ready/probe", timeout_s=1)
        except (OSError, RuntimeError):
            return False
        return True

    def stop(self) -> None:
        """End it without warning: its own orderly end takes ten seconds."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            remove_sockets(self.ports)

    def create_bucket(self) -> str:
        """Make an empty place; returns the address of a store in it, as `--store` takes it.

        It is a prefix of its own in one bucket: each bucket would take seven of the server's volumes.
        """
        self._put("tests")
        return f"s3://tests/{os.getpid()}-{next(_numbers)}?endpoint={quote(self.endpoint, safe=':/')}"

    def _put(self, path: str, timeout_s: float = 10) -> None:
        """Make a bucket or a small object, if it is not there."""
        from botocore.auth import S3SigV4QueryAuth
        from botocore.awsrequest import AWSRequest
        from botocore.credentials import Credentials

        signed = AWSRequest(method="PUT", url=f"{self.endpoint}/{path}", headers={})
        S3SigV4QueryAuth(Credentials(*self.keys), "s3", "us-east-1", expires=60).add_auth(signed)
        request = urllib.request.Request(signed.url, data=b"ready" if "/" in path else None, method="PUT")
        try:
            with urllib.request.urlopen(request, timeout=timeout_s) as answer:
                answer.read()
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise RuntimeError(f"{path}: {error.code}") from error
