"""Peers that only move bytes: `cp`, presigned PUTs, and Git LFS or what stands in for it."""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit

from benchmarks.git_peer import ENVIRONMENT
from benchmarks.histories import Step
from benchmarks.measure import Cost, discard, run
from muse.objects.ids import hash_bytes
from musehub.storage.s3 import S3Store
from musehub.storage.s3_address import parse_s3_address

PUT_BYTES = 16 << 20
AT_ONCE = 4


def put_raw(store_url: str, keys: tuple[str, str], size_bytes: int) -> float:
    """Seconds to put so many random bytes as files of 16 MB, four at once, each to an address of its own."""
    store = S3Store(parse_s3_address(store_url), *keys)
    bodies = [os.urandom(min(PUT_BYTES, size_bytes - at)) for at in range(0, size_bytes, PUT_BYTES)]

    def put(connection: http.client.HTTPConnection, key: str, body: bytes) -> None:
        request = asyncio.run(store.presign_put(key, len(body), hash_bytes(body), 600))
        parts = urlsplit(request.url)
        connection.request("PUT", f"{parts.path}?{parts.query}", body, request.headers)
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the store answered {answer.status}")

    def connect() -> http.client.HTTPConnection:
        request = asyncio.run(store.presign_put("first", 1, hash_bytes(b"1"), 600))
        return http.client.HTTPConnection(urlsplit(request.url).netloc)

    first = connect()  # what signs is imported by now
    put(first, "first", b"1")
    first.close()
    numbers = iter(range(len(bodies)))
    failures: list[Exception] = []

    def work() -> None:
        connection = connect()
        try:
            for number in numbers:
                put(connection, f"raw/{number}", bodies[number])
        except Exception as error:
            failures.append(error)
        finally:
            connection.close()

    started = time.perf_counter()
    threads = [threading.Thread(target=work) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return time.perf_counter() - started


def copy_raw(folder: Path, size_bytes: int) -> Cost:
    """`cp` so many random bytes in files of 16 MB, and wait until they are durable."""
    source = folder / "bytes"
    source.mkdir(parents=True)
    for at in range(0, size_bytes, PUT_BYTES):
        (source / f"{at:012}").write_bytes(os.urandom(min(PUT_BYTES, size_bytes - at)))
    cost = run("sh", "-c", "cp -r bytes copied && sync copied copied/*", cwd=folder)
    discard(folder)
    return cost


class LfsSide:
    """Git LFS with its server on disk: a history of large files; `git add` has hashed them before.

    The server is reached through a mount of its own, as another disk would be: on the same one Git LFS only
    makes links and moves no bytes.
    """

    system = "git lfs"
    mounted = ("unshare", "--mount", "--map-root-user", "sh", "-c", 'mount --bind "$0" "$0" && exec "$@"')

    def __init__(self, steps: Iterable[Step], folder: Path) -> None:
        self._server = folder / "server"
        self._server.mkdir()
        (folder / "gitconfig").write_text(
            '[filter "lfs"]\nclean = git-lfs clean -- %f\nsmudge = git-lfs smudge -- %f\n'
            "process = git-lfs filter-process\nrequired = true\n"
        )
        self._environment = {
            **ENVIRONMENT,
            "HOME": str(folder),
            "GIT_CONFIG_GLOBAL": str(folder / "gitconfig"),
        }
        self._work = folder / "work"
        self._git("init", "-q", "-b", "main", str(self._work), cwd=folder)
        self._git("lfs", "install", "--local")
        (self._work / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
        for step in steps:
            self.commit(step)
        self._remote = ""

    def commit(self, step: Step) -> None:
        for path, content in step.files.items():
            (self._work / path).write_bytes(content)
        self._git("add", "-A")
        self._git("commit", "-q", "-m", step.message)

    def begin(self, name: str) -> None:
        self._remote = str(self._server / f"{name}.git")
        self._git("init", "-q", "--bare", "-b", "main", self._remote)

    def measure(self, scenario: str) -> tuple[Cost, dict[str, float]]:
        url = f"file://{self._remote}"
        clone = self._work.with_name("clone")
        if scenario == "clone":
            arguments = ["clone", "-q", url, str(clone)]
        else:
            arguments = ["push", "-q", url, "main"]
        command = (*self.mounted, str(self._server), "git", *arguments)
        cost = run(*command, cwd=self._work, env=self._environment)
        if scenario == "clone":
            found = sum(path.stat().st_size for path in clone.glob("*.bin"))
            assert found > 1 << 20, "Git LFS left pointers instead of files"
            discard(clone.rename(clone.with_name(f"clone-{time.monotonic_ns()}")))
        return cost, {"client_cpu_s": round(cost.cpu_s, 3), "client_peak_mib": round(cost.peak_mib)}

    def _git(self, *arguments: str, cwd: Path | None = None) -> None:
        subprocess.run(
            ["git", *arguments], cwd=cwd or self._work, env=self._environment, check=True, capture_output=True
        )


class CopySide:
    """Where Git LFS is not installed: each file read, hashed, written to a second folder and made durable.

    That is the least that any store of large files does for a push; a clone does it twice, to a store of its
    own and from there to the work tree. Git LFS does more.
    """

    system = "copy + SHA-256"

    def __init__(self, steps: Iterable[Step], folder: Path) -> None:
        self._folder = folder
        self._store = folder / "store"
        self._store.mkdir(parents=True)
        self._remote = folder
        for step in steps:
            self.commit(step)

    def commit(self, step: Step) -> None:
        for content in step.files.values():
            (self._store / hashlib.sha256(content).hexdigest()).write_bytes(content)

    def begin(self, name: str) -> None:
        self._remote = self._folder / name

    def measure(self, scenario: str) -> tuple[Cost, dict[str, float]]:
        started, started_cpu = time.perf_counter(), time.process_time()
        clone = self._folder / f"{self._remote.name}-clone"
        if scenario == "clone":
            _copy_hashed(self._remote, clone / "store")
            shutil.copytree(clone / "store", clone / "work")
        else:
            _copy_hashed(self._store, self._remote)
        wall_s, cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
        discard(clone)
        return Cost(wall_s, cpu_s, 0.0, ""), {"client_cpu_s": round(cpu_s, 3)}


def _copy_hashed(source: Path, target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    for path in source.iterdir():
        if (target / path.name).exists():
            continue
        digest = hashlib.sha256()
        with path.open("rb") as read, (target / path.name).open("wb") as written:
            while block := read.read(1 << 20):
                digest.update(block)
                written.write(block)
            written.flush()
            os.fsync(written.fileno())
        if digest.hexdigest() != path.name:
            raise RuntimeError("a copy differs")


def make_large_file_side(steps: Iterable[Step], folder: Path) -> LfsSide | CopySide:
    """Git LFS where it is installed and a mount is allowed."""
    probe = folder / "probe"
    probe.mkdir(parents=True)
    if shutil.which("git-lfs") and shutil.which("unshare"):
        tried = subprocess.run([*LfsSide.mounted, probe, "true"], capture_output=True, check=False)
        if tried.returncode == 0:
            return LfsSide(steps, folder)
    return CopySide(steps, folder)
