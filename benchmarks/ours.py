"""Our side: histories through the `muse` library, and a hub in its own process."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
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


def build(steps: Iterator[Step], directory: Path) -> float:
    """Write a history commit by commit, each durable; returns the seconds spent in the library alone."""
    seconds = 0.0
    with Repository.init(directory) as repository:
        root = head = None
        versions: dict[str, bytes] = {}
        for number, step in enumerate(steps):
            started = time.perf_counter()
            with repository.transaction(step.message) as transaction:
                changes = {}
                for path, content in step.files.items():
                    kind, blob, size_bytes = transaction.put_stream(
                        io.BytesIO(content), len(content), versions.get(path)
                    )
                    changes[path] = Entry(path, kind, blob, size_bytes)
                    versions[path] = blob
                root = edit_tree(transaction.load, root, changes, transaction.put).id
                who = Person("bench", "bench@example.org", 1_700_000_000 + number, 0)
                parents = (head,) if head else ()
                commit = Commit(root, parents, who, who, step.message)
                new = transaction.put(Kind.COMMIT, encode_commit(commit), head)
                transaction.set_ref("heads/main", new, head)
            head = new
            seconds += time.perf_counter() - started
    return seconds


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
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "MUSE_AUTHOR_NAME": "bench",
        "MUSE_AUTHOR_EMAIL": "bench@example.org",
        **(environment or {}),
    }
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
