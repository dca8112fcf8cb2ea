"""Git as the peer: histories through fast-import or commit by commit, and smart HTTP on loopback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.histories import Step
from benchmarks.measure import Cost, Watch, discard, run

ENVIRONMENT = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_AUTHOR_NAME": "bench",
    "GIT_AUTHOR_EMAIL": "bench@example.org",
    "GIT_COMMITTER_NAME": "bench",
    "GIT_COMMITTER_EMAIL": "bench@example.org",
    # Git's own clean-up would run on beside whatever is measured next.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "gc.auto",
    "GIT_CONFIG_VALUE_0": "0",
}


def git(*arguments: str | Path, cwd: Path, stdin: bytes | None = None) -> bytes:
    return subprocess.run(
        ["git", *map(str, arguments)],
        cwd=cwd,
        env=ENVIRONMENT,
        input=stdin,
        check=True,
        capture_output=True,
    ).stdout


def fast_import(steps: Iterable[Step], directory: Path) -> None:
    """Write a history into a new bare repository, commit by commit, as one pack."""
    directory.mkdir(parents=True)
    git("init", "-q", "--bare", "-b", "main", ".", cwd=directory)
    with subprocess.Popen(
        ["git", "-c", "fastimport.unpackLimit=1", "fast-import", "--quiet"],
        cwd=directory,
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
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


def build(steps: Iterable[Step], directory: Path) -> float:
    """`git add -A && git commit` for every step; returns the seconds in Git alone, without writing files."""
    directory.mkdir(parents=True)
    git("init", "-q", "-b", "main", ".", cwd=directory)
    seconds = 0.0
    for step in steps:
        for path, content in step.files.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(content)
        started = time.perf_counter()
        git("add", "-A", cwd=directory)
        git("commit", "-q", "-m", step.message, cwd=directory)
        seconds += time.perf_counter() - started
    return seconds


class Server:
    """Smart HTTP for the repositories below `root`, in a process of its own."""

    def __init__(self, root: Path, address: str, pid: int) -> None:
        self.root = root
        self.address = address
        self.pid = pid

    def make_empty(self, name: str) -> str:
        """Make an empty repository that accepts pushes; returns its address."""
        git("init", "-q", "--bare", "-b", "main", f"{name}.git", cwd=self.root)
        git("config", "http.receivepack", "true", cwd=self.root / f"{name}.git")
        git("config", "http.uploadpack", "true", cwd=self.root / f"{name}.git")
        return f"{self.address}/{name}.git"


@contextmanager
def serve(root: Path) -> Iterator[Server]:
    root.mkdir(parents=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.git_server", str(root)],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            yield Server(root, process.stdout.readline().strip(), process.pid)
        finally:
            process.terminate()


class GitSide:
    """A history in Git; `loose` unpacks it first, as one lies that was just committed."""

    def __init__(self, made: Path, folder: Path, server: Server, *, loose: bool) -> None:
        self.system = "git, loose" if loose else "git, packed"
        self._folder = folder
        self._server = server
        self._source = folder / f"source-{'loose' if loose else 'packed'}"
        self._name = ""
        self._url = ""
        git("clone", "-q", "--bare", "--no-hardlinks", made, self._source, cwd=folder)
        if loose:
            packs = self._source / "objects" / "pack"
            moved = next(packs.glob("*.pack")).rename(folder / "loose.pack")
            shutil.rmtree(packs)
            with moved.open("rb") as pack:
                command = ["git", "unpack-objects", "-q"]
                subprocess.run(command, cwd=self._source, env=ENVIRONMENT, stdin=pack, check=True)

    def begin(self, name: str) -> None:
        """The next push goes to a new, empty repository."""
        self._name = f"{name}-{self._source.name}"
        self._url = self._server.make_empty(self._name)

    def measure(self, scenario: str) -> tuple[Cost, dict[str, Any]]:
        if scenario == "one more commit":
            self._commit_one_more()
        watch = Watch(self._server.pid)
        target = self._folder / f"clone-{self._name}"
        if scenario == "clone":
            arguments = ["clone", "-q", self._url, str(target)]
        else:
            arguments = ["push", "-q", self._url, "main"]
        cost = run("git", *arguments, cwd=self._source, env=ENVIRONMENT)
        details = {"client_cpu_s": round(cost.cpu_s, 3), **watch.read()}
        discard(target)
        return cost, details

    def _commit_one_more(self) -> None:
        def ask(*arguments: str, stdin: bytes | None = None) -> str:
            return git(*arguments, cwd=self._source, stdin=stdin).decode().strip()

        blob = ask("hash-object", "-w", "--stdin", stdin=self._name.encode())
        listing = git("ls-tree", "main", cwd=self._source)
        tree = ask("mktree", stdin=listing + f"100644 blob {blob}\tmore-{self._name}.txt\n".encode())
        commit = ask("commit-tree", tree, "-p", "main", "-m", "one more")
        ask("update-ref", "refs/heads/main", commit)
