"""300 MB of noise are pushed by a client, and taken by a hub, within 256 MiB each."""

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
    def __init__(self, size, seed):
        self.left, self.rng = size, random.Random(seed)
    def read(self, size=-1):
        size = min(self.left, size if size >= 0 else self.left)
        self.left -= size
        return self.rng.randbytes(size)
    def readinto(self, buffer):
        data = self.read(len(buffer))
        buffer[:len(data)] = data
        return len(data)

work, token = sys.argv[1:]
with Repository.open(Path(work)) as repository:
    with repository.transaction() as transaction:
        changes = {}
        for number in range(3):
            kind, object_id, size = transaction.put_stream(Noise(100_000_000, number), 100_000_000)
            changes[f"{number}.bin"] = Entry("", kind, object_id, size)
        tree = edit_tree(transaction.load, None, changes, transaction.put)
        ada = Person("Ada", "ada@example.org", 1, 0)
        commit = transaction.put(Kind.COMMIT, encode_commit(Commit(tree.id, (), ada, ada, "noise")))
        transaction.set_ref("heads/main", commit)
    url = parse_repository_url(repository.settings.get("remote.origin.url"))
    with HubClient(url.origin, token) as hub:
        pushed = push(repository, "origin", select_refs(repository), hub)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(json.dumps({"peak": peak, "packs": pushed.packs, "bytes": pushed.bytes_sent}))
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
    assert figures["bytes"] > 300_000_000
    assert figures["peak"] <= LIMIT_BYTES
    assert peak[0] <= LIMIT_BYTES
