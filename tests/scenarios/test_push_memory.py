"""300 MB of noise: client and hub take them within 256 MiB each, and an insertion costs little.

On a folder, and in parts of 5 MiB on PostgreSQL and S3; MUSE_TEST_LARGE_MIB=2048 sends two gigabytes there.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tests.histories import make_repository
from tests.hub_process import HubProcess
from tests.musehub.postgresql import PostgreSQL
from tests.musehub.seaweedfs import SeaweedFS

from muse.remote.address import RepositoryUrl
from musehub.db import migrate
from musehub.db.opening import open_database
from musehub.settings import Settings, load_settings

LIMIT_BYTES = 256 << 20
PART_BYTES = 5 << 20

SCRIPT = """
import json, random, resource, sys
from muse.objects.commit import Commit, Person, encode_commit
from muse.objects.ids import Kind
from muse.objects.tree import Entry
from muse.history.edit import edit_tree
from muse.remote.address import parse_repository_url
from muse.remote.client import HubClient
from muse.remote.push import push
from muse.remote.selection import select_refs
from muse.store.repository import Repository
from pathlib import Path

class Noise:
    # blocks of random bytes, and in the middle an insertion
    def __init__(self, blocks, insertion):
        inserted = {blocks // 2: insertion}
        self.parts = (inserted.get(n, b"") + random.Random(n).randbytes(1 << 20) for n in range(blocks))
        self.rest = b""

    def read(self, size=-1):
        while len(self.rest) < size and (part := next(self.parts, None)) is not None:
            self.rest += part
        data, self.rest = self.rest[:size], self.rest[size:]
        return data

work, token, blocks = sys.argv[1:]

def commit(repository, insertion, previous):
    with repository.transaction() as transaction:
        kind, object_id, size = transaction.put_stream(Noise(int(blocks), insertion), 0, previous)
        head = repository.refs.head().target
        root = repository.graph(head).tree if head else None
        changes = {"noise.bin": Entry("", kind, object_id, size)}
        tree = edit_tree(transaction.load, root, changes, transaction.put)
        ada = Person("Ada", "ada@example.org", 1, 0)
        parents = (head,) if head else ()
        commit = transaction.put(Kind.COMMIT, encode_commit(Commit(tree.id, parents, ada, ada, "noise")))
        transaction.set_ref("heads/main", commit)
    return object_id

def push_now(repository):
    url = parse_repository_url(repository.settings.get("remote.origin.url"))
    with HubClient(url.origin, token) as hub:
        return push(repository, "origin", select_refs(repository), hub)

with Repository.open(Path(work)) as repository:
    previous = commit(repository, b"", None)
    first = push_now(repository)
    commit(repository, random.Random(999).randbytes(1000), previous)
    second = push_now(repository)
status = Path("/proc/self/status")
if status.exists():  # what getrusage says includes the process that started this one
    lines = [line.split() for line in status.read_text().splitlines()]
    peak = next(int(words[1]) for words in lines if words[0] == "VmHWM:") * 1024
else:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
sent = {"first": first.bytes_sent, "second": second.bytes_sent, "requests": first.requests}
print(json.dumps({"peak": peak, "packs": first.packs, **sent}))
"""


LARGE_MIB = int(os.environ.get("MUSE_TEST_LARGE_MIB", "256"))


@pytest.fixture
def hub_on_servers(postgresql: PostgreSQL, seaweedfs: SeaweedFS, tmp_path: Path) -> Iterator[HubProcess]:
    """A hub whose store takes no more than 5 MiB in one PUT."""
    name = asyncio.run(postgresql.create_database())
    flags = {"data_dir": tmp_path, "database_url": postgresql.url(name)}
    asyncio.run(_migrate(load_settings(flags, environ={})))
    hub = HubProcess(
        tmp_path / "hub",
        database_url=postgresql.url(name),
        store_url=seaweedfs.create_bucket(),
        store_access_key=seaweedfs.keys[0],
        store_secret_key=seaweedfs.keys[1],
        store_put_max_bytes=PART_BYTES,
    )
    yield hub
    hub.stop()
    asyncio.run(postgresql.drop_database(name))


async def _migrate(settings: Settings) -> None:
    database = open_database(settings)
    await migrate.upgrade(database)
    await database.close()


def test_memory_stays_bounded(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path / "hub")
    try:
        figures = push_noise(hub, tmp_path / "work", 286)
    finally:
        hub.stop()
    assert figures["packs"] >= 13
    assert figures["first"] > 299_000_000


@pytest.mark.timeout(120 + LARGE_MIB)
def test_memory_stays_bounded_when_packs_go_in_parts(hub_on_servers: HubProcess, tmp_path: Path) -> None:
    figures = push_noise(hub_on_servers, tmp_path / "work", LARGE_MIB)
    assert figures["first"] > LARGE_MIB << 20
    # For each pack a presign and a confirm, for each part an address and a PUT.
    assert figures["requests"] > figures["packs"] * 2 + (LARGE_MIB << 20) // PART_BYTES * 2


def push_noise(hub: HubProcess, work: Path, size_mib: int) -> dict[str, int]:
    """Push that much, and once more with an insertion; checks the peaks of both, returns figures."""
    stop = threading.Event()
    peak = [0]

    def watch() -> None:
        process = psutil.Process(hub.pid)
        while not stop.wait(0.01):
            family = [process, *process.children(recursive=True)]
            peak[0] = max(peak[0], sum(one.memory_info().rss for one in family))

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        make_repository(work, RepositoryUrl(hub.origin, HubProcess.user, "noise")).close()
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(work), hub.token, str(size_mib)],
            capture_output=True,
            text=True,
            check=False,
            timeout=110 + size_mib,
        )
    finally:
        stop.set()
        watcher.join()
    assert done.returncode == 0, done.stderr
    figures: dict[str, int] = json.loads(done.stdout)
    print(f"{size_mib} MiB: {figures}, hub {peak[0] >> 20} MiB")
    assert figures["second"] < 4_000_000
    assert figures["peak"] <= LIMIT_BYTES
    assert peak[0] <= LIMIT_BYTES
    return figures
