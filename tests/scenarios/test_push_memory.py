"""300 MB of noise: client and hub take them within 256 MiB each, and an insertion costs little."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import psutil
from tests.histories import make_repository
from tests.hub_process import HubProcess

from muse.remote.address import RepositoryUrl

LIMIT_BYTES = 256 << 20

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

work, token = sys.argv[1:]

def commit(repository, insertion, previous):
    with repository.transaction() as transaction:
        kind, object_id, size = transaction.put_stream(Noise(286, insertion), 0, previous)
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
sent = {"first": first.bytes_sent, "second": second.bytes_sent}
print(json.dumps({"peak": peak, "packs": first.packs, **sent}))
"""


def test_memory_stays_bounded(tmp_path: Path) -> None:
    hub = HubProcess(tmp_path / "hub")
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
        make_repository(tmp_path / "work", RepositoryUrl(hub.origin, HubProcess.user, "noise")).close()
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, str(tmp_path / "work"), hub.token],
            capture_output=True,
            text=True,
            check=False,
            timeout=110,
        )
    finally:
        stop.set()
        watcher.join()
        hub.stop()
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["packs"] >= 18
    assert figures["first"] > 299_000_000
    assert figures["second"] < 4_000_000
    assert figures["peak"] <= LIMIT_BYTES
    assert peak[0] <= LIMIT_BYTES
