"""`python -m benchmarks.servers`: pushes to a hub on PostgreSQL and S3, beside what the store itself takes.

CHAIN is 992 commits with 4,142 distinct blobs. The peer puts as many bytes as the history's files have
straight to the store, as files of 16 MB, presigned, four at once.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import os
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import urlsplit

from tests.musehub.postgresql import PostgreSQL
from tests.musehub.seaweedfs import SeaweedFS

from benchmarks import ours
from benchmarks.histories import HISTORIES, Step
from muse.objects.ids import hash_bytes
from musehub.storage.s3 import S3Store
from musehub.storage.s3_address import parse_s3_address

PUT_BYTES = 16 << 20
AT_ONCE = 4


def chain() -> Iterator[Step]:
    rng = Random(992)
    written = 0
    for number in range(992):
        files = {}
        while written < 4142 * (number + 1) // 992:
            files[f"part-{written % 17}/item-{rng.randrange(700)}-{written % 50}"] = rng.randbytes(
                rng.randrange(200, 4000)
            )
            written += 1
        yield Step(f"commit {number}", files)


@contextmanager
def servers(folder: Path) -> Iterator[tuple[dict[str, str], SeaweedFS]]:
    """PostgreSQL and SeaweedFS, and the environment of a hub that stands on them."""
    postgresql, seaweedfs = PostgreSQL(folder / "pg"), SeaweedFS(folder / "s3")
    try:
        environment = {
            "MUSEHUB_DATABASE_URL": postgresql.url(asyncio.run(postgresql.create_database())),
            "MUSEHUB_STORE_URL": seaweedfs.create_bucket(),
            "MUSEHUB_STORE_ACCESS_KEY": seaweedfs.keys[0],
            "MUSEHUB_STORE_SECRET_KEY": seaweedfs.keys[1],
        }
        variables = {"PATH": os.environ["PATH"], "HOME": str(folder), **environment}
        subprocess.run([ours.BIN / "musehub", "migrate"], env=variables, check=True, capture_output=True)
        yield environment, seaweedfs
    finally:
        seaweedfs.stop()
        postgresql.stop()


def put_raw(seaweedfs: SeaweedFS, size_bytes: int) -> float:
    """Seconds to put so many random bytes as files of 16 MB, four at once, each to its own address."""
    store = S3Store(parse_s3_address(seaweedfs.create_bucket()), *seaweedfs.keys)
    bodies = [os.urandom(min(PUT_BYTES, size_bytes - at)) for at in range(0, size_bytes, PUT_BYTES)]
    started = time.perf_counter()
    numbers = iter(range(len(bodies)))

    def work() -> None:
        connection = http.client.HTTPConnection(urlsplit(seaweedfs.endpoint).netloc)
        for number in numbers:
            body = bodies[number]
            sign = store.presign_put(f"raw/{number}", len(body), hash_bytes(body), 600)
            request = asyncio.run(sign)
            parts = urlsplit(request.url)
            connection.request("PUT", f"{parts.path}?{parts.query}", body, request.headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
        connection.close()

    threads = [threading.Thread(target=work) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - started


def report(name: str, document: dict[str, Any], wall_s: float, raw_s: float) -> None:
    timeline = document["timeline"]
    uploads = timeline["uploads"] or {"packs": 0, "statements": 0, "store_calls": 0, "phases": [], "s": 0}
    statements = timeline["statements"] + uploads["statements"]
    megabytes = document["bytes_sent"] / 1e6
    finalise_ms = timeline["finalise_transaction_s"] * 1000
    print(f"{name}: {wall_s:.2f} s; the files' bytes put raw {raw_s:.2f} s, ratio {wall_s / raw_s:.2f}")
    print(
        f"  {document['objects']} objects, {megabytes:.1f} MB in {uploads['packs']} packs, "
        f"{document['requests']} requests, {statements} SQL statements, "
        f"{timeline['store_calls'] + uploads['store_calls']} store calls"
    )
    longest = max(timeline["longest_transaction_s"], uploads.get("longest_transaction_s", 0.0))
    print(
        f"  last transaction {finalise_ms:.1f} ms, longest {longest * 1000:.1f} ms "
        f"({timeline['longest_transaction']}), connection held {timeline['connection_held_s']:.2f} s of "
        f"{timeline['total_s']:.2f} s"
    )
    for what, phases in (
        ("client", document.get("phases", [])),
        ("hub, packs", uploads["phases"]),
        ("hub, stream", timeline["phases"]),
    ):
        shown = ", ".join(
            f"{phase['name']} {phase.get('s', phase.get('seconds', 0)):.2f}" for phase in phases
        )
        print(f"  {what}: {shown}")


def measure(folder: Path, names: list[str], repeat: int) -> None:
    with (
        servers(folder) as (environment, seaweedfs),
        ours.serve(folder / "hub", environment=environment) as hub,
    ):
        for name in names:
            make_steps = chain if name == "CHAIN" else HISTORIES[name].steps
            ours.build(make_steps(), folder / name)
            size_bytes = sum(len(data) for step in make_steps() for data in step.files.values())
            for number in range(repeat):
                url = f"{hub.address}/bench/{name.lower()}-{number}"
                hub.muse("remote", "add", f"r{number}", url, cwd=folder / name)
                cost, document = hub.muse("push", f"r{number}", "main", "--timings", cwd=folder / name)
                report(name, document, cost.wall_s, put_raw(seaweedfs, size_bytes))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["CHAIN", "SEED"])
    parser.add_argument("--repeat", type=int, default=2)
    given = parser.parse_args()
    # A short path that others may enter: PostgreSQL's socket lies in it.
    with tempfile.TemporaryDirectory(prefix="muse-bench-", ignore_cleanup_errors=True) as name:
        Path(name).chmod(0o755)
        measure(Path(name), given.names, given.repeat)


if __name__ == "__main__":
    main()
