"""Our side: histories through the `muse` library, and a hub in its own process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.histories import Step
from benchmarks.measure import Cost, run
from muse.history.edit import edit_tree
from muse.objects.commit import Commit, Person, encode_commit
from muse.objects.ids import Kind
from muse.objects.tree import Entry
from muse.store.repository import Repository

BIN = Path(sys.executable).parent
SOURCE = Path(__file__).resolve().parent.parent / "src"


class Builder:
    """Writes a history commit by commit, each durable; `seconds` were spent in the library."""

    def __init__(self, directory: Path) -> None:
        self.repository = Repository.init(directory)
        self.seconds = 0.0
        self._root: bytes | None = None
        self._head: bytes | None = None
        self._versions: dict[str, bytes] = {}
        self._number = 0

    def add(self, step: Step) -> None:
        started = time.perf_counter()
        with self.repository.transaction(step.message) as transaction:
            changes = {}
            for path, content in step.files.items():
                kind, blob, size_bytes = transaction.put_stream(
                    io.BytesIO(content), len(content), self._versions.get(path)
                )
                changes[path] = Entry(path, kind, blob, size_bytes)
                self._versions[path] = blob
            self._root = edit_tree(transaction.load, self._root, changes, transaction.put).id
            who = Person("bench", "bench@example.org", 1_700_000_000 + self._number, 0)
            parents = (self._head,) if self._head else ()
            commit = Commit(self._root, parents, who, who, step.message)
            new = transaction.put(Kind.COMMIT, encode_commit(commit), self._head)
            transaction.set_ref("heads/main", new, self._head)
        self._head = new
        self._number += 1
        self.seconds += time.perf_counter() - started

    def close(self) -> None:
        self.repository.close()


def build(steps: Iterable[Step], directory: Path) -> float:
    """Write a whole history; returns the seconds spent in the library alone."""
    builder = Builder(directory)
    for step in steps:
        builder.add(step)
    builder.close()
    return builder.seconds


def commit_files(work: Path, files: dict[str, bytes]) -> None:
    """Commit files on top of main with the library: the work tree is not checked out here."""
    with Repository.open(work) as repository, repository.transaction("one more") as transaction:
        ref = repository.refs.get("heads/main")
        assert ref is not None
        head = ref.target
        changes = {}
        for path, content in files.items():
            kind, blob, size_bytes = transaction.put_stream(io.BytesIO(content), len(content), None)
            changes[path] = Entry(path, kind, blob, size_bytes)
        root = edit_tree(transaction.load, repository.graph(head).tree, changes, transaction.put).id
        who = Person("bench", "bench@example.org", 1_800_000_000, 0)
        commit = Commit(root, (head,), who, who, "one more")
        transaction.set_ref("heads/main", transaction.put(Kind.COMMIT, encode_commit(commit), head), head)


class Hub(NamedTuple):
    """A running hub: its address, its process, and the environment in which a client is logged in."""

    address: str
    pid: int
    environment: dict[str, str]

    def muse(self, *arguments: str | Path, cwd: Path) -> tuple[Cost, dict[str, Any]]:
        """Run the `muse` command as a user would; returns its cost and its JSON document."""
        cost = run(BIN / "muse", *map(str, arguments), "--json", cwd=cwd, env=self.environment)
        start = cost.output.find("{")
        return cost, json.loads(cost.output[start:]) if start >= 0 else {}


@contextmanager
def serve(folder: Path, *options: str, environment: dict[str, str] | None = None) -> Iterator[Hub]:
    """Run a hub with its data in `folder` until the block ends."""
    folder.mkdir(parents=True, exist_ok=True)
    variables = client_environment(folder) | (environment or {})
    arguments = ["--data", str(folder / "data"), *options]
    subprocess.run(
        [BIN / "musehub", "user", "add", "bench", "--password-stdin", *arguments],
        env=variables,
        input="a-password-for-benchmarks\n",
        text=True,
        check=True,
        capture_output=True,
    )
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            [BIN / "musehub", "serve", "--port", "0", *arguments],
            env=variables,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    try:
        line = next((line for line in process.stdout if "listening on " in line), None)
        if line is None:
            raise RuntimeError((folder / "log").read_text())
        address = line.split("listening on ")[1].split()[0]
        subprocess.run(
            [BIN / "muse", "auth", "login", address, "--user", "bench", "--password-stdin"],
            env=variables,
            input="a-password-for-benchmarks\n",
            text=True,
            check=True,
            capture_output=True,
        )
        yield Hub(address, process.pid, variables)
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def client_environment(home: Path) -> dict[str, str]:
    """A wiped environment. Programs run this checkout's source, whichever one the environment installed."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(SOURCE),
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "MUSE_AUTHOR_NAME": "bench",
        "MUSE_COMMITTER_NAME": "bench",
        "MUSE_AUTHOR_EMAIL": "bench@example.org",
        "MUSE_COMMITTER_EMAIL": "bench@example.org",
    }
