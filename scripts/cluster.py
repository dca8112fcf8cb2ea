"""Several hubs on one database and one store, under load, while parts of them die: `make cluster`.

Starts PostgreSQL, SeaweedFS, two hub processes and a load balancer on loopback. Pushers and cloners work
through the balancer with the real client; meanwhile one hub is killed and started again, then the database.
In the end every push that was accepted must be in the history, clones must be identical and whole. The last
line starts with `cluster: ok`.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from scripts.balancer import Backend, Balancer  # noqa: E402
from tests.histories import commit_files, content, make_repository  # noqa: E402
from tests.musehub.postgresql import PostgreSQL  # noqa: E402
from tests.musehub.seaweedfs import SeaweedFS  # noqa: E402

from muse.errors import Conflict, MuseError  # noqa: E402
from muse.history.walk import is_ancestor  # noqa: E402
from muse.remote.address import Origin, RepositoryUrl, parse_hub_url  # noqa: E402
from muse.remote.auth import log_in_with_password  # noqa: E402
from muse.remote.client import HubClient  # noqa: E402
from muse.remote.clone import clone  # noqa: E402
from muse.remote.fetch import fetch  # noqa: E402
from muse.remote.push import push  # noqa: E402
from muse.remote.retry import Retry  # noqa: E402
from muse.remote.selection import select_refs  # noqa: E402
from muse.store.fsck import fsck  # noqa: E402
from muse.store.repository import Repository  # noqa: E402

T = TypeVar("T")
MUSEHUB = Path(sys.executable).with_name("musehub")
USER = "cluster"
OWN, SHARED, CLONERS = 3, 2, 2
"""Pushers with a repository each, pushers on one branch of one repository, cloners."""
QUIET_S, KILLED_S, LOADED_S = 6.0, 2.0, 24.0
"""Load before and after each fault; how long a killed hub stays away; the whole of the load."""
GIVE_UP_S = 60.0


class Hub:
    """One hub process; killed and started again it keeps its port."""

    def __init__(self, name: str, folder: Path, environment: dict[str, str]) -> None:
        self.name = name
        self._folder = folder
        self._environment = environment
        self._port = 0
        self.start()

    def start(self) -> None:
        command = [MUSEHUB, "serve", "--data", self._folder / self.name, "--port", str(self._port), "--json"]
        with (self._folder / f"{self.name}.log").open("ab") as log:
            self._process = subprocess.Popen(
                command, env=self._environment, stdout=subprocess.PIPE, stderr=log
            )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"cluster: {self.name} did not start\n{self.log()}")
        self.url = json.loads(line)["url"]
        self._port = parse_hub_url(self.url).port

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        self._process.send_signal(number)
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def log(self) -> str:
        return (self._folder / f"{self.name}.log").read_text()[-3000:]

    @property
    def backend(self) -> Backend:
        return Backend("127.0.0.1", self._port)


class Load:
    """What everybody does, and what came of it; `accepted` holds every confirmed head by repository."""

    def __init__(self, folder: Path, origin: Origin, token: str) -> None:
        self._folder = folder
        self._origin = origin
        self._token = token
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.stopping = threading.Event()
        self.accepted: dict[str, list[bytes]] = {}
        self.push_s: list[float] = []
        self.clone_s: list[float] = []
        self.longest_transaction_s = 0.0
        self.finalise_s = 0.0
        self.failures: Counter[str] = Counter()
        self.pauses: list[float] = []
        self.broken: list[BaseException] = []

    def client(self) -> HubClient:
        def sleep(seconds: float) -> None:
            self.pauses.append(seconds)
            time.sleep(seconds)

        return HubClient(self._origin, self._token, retry=Retry(attempts=6, cap_s=2.0, sleep=sleep))

    def url(self, name: str) -> RepositoryUrl:
        return RepositoryUrl(self._origin, USER, name)

    def start(self) -> None:
        for number in range(OWN):
            self._run(self._push_alone, f"own-{number}", number)
        for number in range(SHARED):
            self._run(self._push_together, "shared", 100 + number)
        for number in range(CLONERS):
            self._run(self._clone_again, f"clone-{number}", 200 + number)

    def finish(self) -> None:
        self.stopping.set()
        for thread in self._threads:
            thread.join(GIVE_UP_S + 10)
            if thread.is_alive():
                raise SystemExit(f"cluster: {thread.name} does not come to an end")
        if self.broken:
            raise self.broken[0]

    def _run(self, work: Callable[[str, Random], None], name: str, seed: int) -> None:
        def run() -> None:
            try:
                work(name, Random(seed))
            except BaseException as error:
                self.broken.append(error)
                self.stopping.set()

        thread = threading.Thread(target=run, name=f"{name}-{seed}")
        self._threads.append(thread)
        thread.start()

    def _push_alone(self, name: str, rng: Random) -> None:
        with make_repository(self._folder / name, self.url(name)) as repository, self.client() as hub:
            while not self.stopping.is_set():
                self._commit(repository, rng, name)
                self._push(repository, name, hub)

    def _push_together(self, name: str, rng: Random) -> None:
        folder = self._folder / f"{name}-{rng.random()}"
        with make_repository(folder, self.url(name)) as repository, self.client() as hub:
            while not self.stopping.is_set():
                self._commit(repository, rng, folder.name)
                while True:
                    try:
                        self._push(repository, name, hub)
                        break
                    except Conflict as error:
                        self.failures[error.code] += 1
                        self._merge(repository, rng, hub, folder.name)

    def _commit(
        self, repository: Repository, rng: Random, area: str, parents: list[bytes] | None = None
    ) -> None:
        count = rng.choice([1, 3, 10, 80])
        files = {f"{area}/{rng.randrange(500)}": rng.randbytes(rng.randrange(8000)) for _ in range(count)}
        commit_files(repository, files, parents=parents)

    def _merge(self, repository: Repository, rng: Random, hub: HubClient, area: str) -> None:
        """Take what others have pushed as first parent, and put the own work on top of it."""
        self._until_done(lambda: fetch(repository, "origin", hub))
        theirs, ours = (
            ref.target
            for ref in (repository.refs.get("remotes/origin/heads/main"), repository.refs.get("heads/main"))
            if ref is not None
        )
        self._commit(repository, rng, area, [theirs, ours])

    def _push(self, repository: Repository, name: str, hub: HubClient) -> None:
        started = time.perf_counter()
        pushed = self._until_done(lambda: push(repository, "origin", select_refs(repository), hub))
        elapsed = time.perf_counter() - started
        ref = pushed.receipt.refs["heads/main"]
        assert ref is not None
        timeline = pushed.receipt.timeline
        with self._lock:
            self.accepted.setdefault(name, []).append(ref.target)
            self.push_s.append(elapsed)
            self.longest_transaction_s = max(
                self.longest_transaction_s, timeline.get("longest_transaction_s") or 0.0
            )
            self.finalise_s = max(self.finalise_s, timeline.get("finalise_transaction_s") or 0.0)

    def _clone_again(self, name: str, rng: Random) -> None:
        number = 0
        with self.client() as hub:
            while not self.stopping.is_set():
                with self._lock:
                    names = sorted(self.accepted)
                if not names:
                    self.stopping.wait(0.2)
                    continue
                number += 1
                target = self._folder / f"{name}-{number}"
                source = self.url(rng.choice(names))
                started = time.perf_counter()
                made = self._until_done(lambda at=target, url=source: clone(url, at, hub, checkout=False))
                with self._lock:
                    self.clone_s.append(time.perf_counter() - started)
                check_whole(made.repository)
                made.repository.close()
                shutil.rmtree(target)

    def _until_done(self, work: Callable[[], T]) -> T:
        """Run it again as a user would, for as long as it says that this may help."""
        deadline = time.monotonic() + GIVE_UP_S
        while True:
            try:
                return work()
            except MuseError as error:
                if isinstance(error, Conflict) and not error.retry:
                    raise
                self.failures[error.code] += 1
                if not error.retry or time.monotonic() > deadline:
                    raise
                time.sleep(0.2)


def check_whole(repository: Repository) -> None:
    problems = list(fsck(repository))
    if problems:
        raise SystemExit(f"cluster: a clone is damaged: {problems[:3]}")


def verify(load: Load, folder: Path) -> int:
    """Clone every repository once more and look for every accepted push; returns the number of objects."""
    objects = 0
    for name, heads in load.accepted.items():
        with load.client() as hub:
            made = clone(load.url(name), folder / f"final-{name}", hub, checkout=False)
        with made.repository as copy:
            check_whole(copy)
            ref = copy.refs.get("remotes/origin/heads/main")
            assert ref is not None
            lost = [head.hex() for head in heads if not is_ancestor(copy.graph, head, ref.target)]
            if lost:
                raise SystemExit(f'cluster: pushes to "{name}" were accepted and are lost: {lost[:3]}')
            found = content(copy, "remotes/origin/heads/")
            objects += len(found[1])
        if name.startswith("own-"):
            with Repository.open(folder / name) as source:
                if content(source) != found:
                    raise SystemExit(f'cluster: the clone of "{name}" is not what was pushed')
    return objects


def musehub(environment: dict[str, str], *arguments: str, text: str | None = None) -> None:
    done = subprocess.run(
        [MUSEHUB, *arguments], env=environment, input=text, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"cluster: `musehub {arguments[0]}` failed\n{done.stdout}{done.stderr}")


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def say(started: float, text: str) -> None:
    print(f"  {time.monotonic() - started:5.1f} s  {text}", flush=True)


def run(folder: Path) -> None:
    started = time.monotonic()
    postgresql, seaweedfs = PostgreSQL(folder / "pg"), None
    hubs: list[Hub] = []
    balancer = None
    try:
        seaweedfs = SeaweedFS(folder / "s3")
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "MUSEHUB_DATABASE_URL": postgresql.url(asyncio.run(postgresql.create_database())),
            "MUSEHUB_STORE_URL": seaweedfs.create_bucket(),
            "MUSEHUB_STORE_ACCESS_KEY": seaweedfs.keys[0],
            "MUSEHUB_STORE_SECRET_KEY": seaweedfs.keys[1],
            "MUSEHUB_STREAM_MAX_OBJECTS": "50",
        }
        password = secrets.token_urlsafe(12)
        musehub(environment, "migrate")
        musehub(environment, "user", "add", USER, "--password-stdin", text=f"{password}\n")
        hubs = [Hub(name, folder, environment) for name in ("hub-a", "hub-b")]
        balancer = Balancer([hub.backend for hub in hubs])
        origin = Origin("http", "127.0.0.1", balancer.port)
        say(started, f"PostgreSQL, SeaweedFS, {len(hubs)} hubs behind {origin}")

        with HubClient(origin) as client:
            token = log_in_with_password(client, USER, password).token
        load = Load(folder, origin, token)
        begun = time.monotonic()
        load.start()
        say(started, f"{OWN + SHARED} pushers and {CLONERS} cloners are at work")
        load.stopping.wait(QUIET_S)
        hubs[0].stop(signal.SIGKILL)
        say(started, f"killed {hubs[0].name} after {len(load.push_s)} pushes")
        load.stopping.wait(KILLED_S)
        hubs[0].start()
        say(started, f"started it again; {len(load.push_s)} pushes")
        load.stopping.wait(QUIET_S)
        kill_postgresql(postgresql)
        say(started, f"killed the database after {len(load.push_s)} pushes")
        postgresql._server.ensure_postgres_running()
        say(started, "started it again")
        load.stopping.wait(max(0.0, begun + LOADED_S - time.monotonic()))
        load.finish()
        loaded_s = time.monotonic() - begun
        say(started, f"{len(load.push_s)} pushes and {len(load.clone_s)} clones in {loaded_s:.0f} s of load")
        objects = verify(load, folder)
        musehub(environment, "fsck", "--deep")
        say(started, "cloned everything once more; `musehub fsck --deep` finds nothing wrong")
        report(load, balancer, hubs)
        commits = sum(map(len, load.accepted.values()))
        print(
            f"cluster: ok – {commits} accepted pushes to {len(load.accepted)} repositories are all in their "
            f"histories, {objects} objects cloned whole and identical, with a hub and the database killed"
        )
    finally:
        if balancer is not None:
            balancer.close()
        for hub in hubs:
            hub.stop()
        if seaweedfs is not None:
            seaweedfs.stop()
        postgresql.stop()


def kill_postgresql(postgresql: PostgreSQL) -> None:
    """SIGKILL the server and all of its processes."""
    import psutil

    server = psutil.Process(postgresql._server.get_pid())
    family = [server, *server.children(recursive=True)]
    for process in family:
        process.kill()
    psutil.wait_procs(family, timeout=10)


def report(load: Load, balancer: Balancer, hubs: list[Hub]) -> None:
    served = ", ".join(f"{hub.name} {balancer.served[hub.backend]}" for hub in hubs)
    failures = ", ".join(f"{code} {count}" for code, count in load.failures.most_common()) or "none"
    print(f"  connections: {served}; pauses before another attempt: {len(load.pauses)}")
    print(f"  seen by the load: {failures}")
    for what, values in (("push", load.push_s), ("clone", load.clone_s)):
        shares = ", ".join(f"{name} {percentile(values, share):.2f} s" for name, share in SHARES)
        print(f"  {what}: {shares}")
    print(
        f"  longest transaction of any push {load.longest_transaction_s * 1000:.0f} ms, "
        f"longest last one {load.finalise_s * 1000:.0f} ms"
    )


SHARES = (("median", 0.5), ("95 %", 0.95), ("longest", 1.0))


def main() -> None:
    # A short path that others may enter: PostgreSQL's socket lies in it.
    folder = Path(tempfile.mkdtemp(prefix="muse-cluster-"))
    folder.chmod(0o755)
    try:
        run(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
