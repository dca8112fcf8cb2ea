"""The main job from end to end on this machine: `make demo`.

Starts a hub on the embedded default, imports a real Git history (this repository's own, or a sample where
there is none), pushes it, pushes again, adds a commit and pushes that, clones, and compares clone and source
object by object. On a terminal the hub stays up until Ctrl-C; otherwise it is stopped at once. All of it is
in a temporary folder. The last line starts with `demo: ok`.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

from muse.cli.output import counted
from muse.objects.ids import Kind, hash_bytes
from muse.objects.references import iter_references
from muse.store.repository import Repository

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
PREFERRED_PORT = 1337


class Demo:
    """Runs commands in their own environment and prints what each did."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(folder),
            "LC_ALL": "C.UTF-8",
        }

    def muse(
        self, *arguments: str | Path, cwd: Path | None = None, text: str | None = None
    ) -> dict[str, Any]:
        """Run `muse … --json` and return its document and, under "seconds", how long it took."""
        command = [str(BIN / "muse"), *map(str, arguments), "--json"]
        started = time.perf_counter()
        done = subprocess.run(
            command,
            cwd=cwd or self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            input=text,
            check=False,
        )
        seconds = time.perf_counter() - started
        if done.returncode:
            shown = " ".join(map(str, arguments))
            raise SystemExit(f"demo: `muse {shown}` failed\n{done.stdout}{done.stderr}")
        document = json.loads(done.stdout) if done.stdout.strip() else {}
        return {**document, "seconds": seconds}

    def musehub(self, *arguments: str | Path, text: str | None = None) -> str:
        done = subprocess.run(
            [str(BIN / "musehub"), *map(str, arguments)],
            env=self.environment,
            capture_output=True,
            text=True,
            input=text,
            check=False,
        )
        if done.returncode:
            raise SystemExit(f"demo: `musehub {arguments[0]}` failed\n{done.stdout}{done.stderr}")
        return done.stdout

    @contextmanager
    def hub(self, data: Path) -> Iterator[str]:
        """Serve on the preferred port, or a free one if that is taken; yields the address."""
        for port in (PREFERRED_PORT, 0):
            with (self.folder / "hub.log").open("w") as log:
                process = subprocess.Popen(
                    [str(BIN / "musehub"), "serve", "--data", str(data), "--port", str(port)],
                    env=self.environment,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                )
            assert process.stdout is not None
            for line in process.stdout:
                if "listening on " in line:
                    try:
                        yield line.split("listening on ")[1].split()[0]
                    finally:
                        process.terminate()
                        process.wait()
                        process.stdout.close()
                    return
            process.wait()
            process.stdout.close()
        raise SystemExit(f"demo: the hub did not start\n{(self.folder / 'hub.log').read_text()}")


def find_git_history() -> Path | None:
    """Return this checkout if it has a Git history that `git` can read."""
    if shutil.which("git") is None:
        return None
    heads = subprocess.run(
        ["git", "-C", str(ROOT), "rev-parse", "-q", "--verify", "HEAD"], capture_output=True, check=False
    )
    return ROOT if heads.returncode == 0 else None


def make_sample(demo: Demo, work: Path) -> None:
    """Commit a small history with `muse` itself, for a machine without Git or a checkout without history."""
    rng = Random(1)
    demo.muse("init", work)
    for number in range(12):
        for index in range(6):
            path = work / f"part-{index % 3}" / f"file-{index}.txt"
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(f"{rng.random()}\n" for _ in range(200)))
        demo.muse("commit", "-m", f"sample {number}", cwd=work)


def compare(source: Path, clone: Path) -> tuple[int, int]:
    """Load every object that the source's branches reach from both; returns objects and bytes compared."""
    with Repository.open(source) as ours, Repository.open(clone) as theirs:
        stack = [(ref.kind, ref.target) for ref in ours.refs.iter("heads/")]
        stack += [(ref.kind, ref.target) for ref in ours.refs.iter("tags/")]
        seen = set(stack)
        size_bytes = 0
        while stack:
            kind, object_id = stack.pop()
            data = theirs.objects.load(kind, object_id)
            if hash_bytes(data) != object_id or data != ours.objects.load(kind, object_id):
                raise SystemExit(f"demo: {kind.name.lower()} {object_id.hex()} differs in the clone")
            size_bytes += len(data)
            if kind is not Kind.BLOB:
                new = {key for key in iter_references(kind, data) if key not in seen}
                seen |= new
                stack += new
        return len(seen), size_bytes


def show(what: str, seconds: float, detail: str = "") -> None:
    print(f"  {what:<34}{seconds:8.2f} s   {detail}", flush=True)


def size(count: int) -> str:
    return f"{count / 1e6:.1f} MB" if count >= 100_000 else f"{count / 1e3:.1f} KB"


def transfer(document: dict[str, Any]) -> str:
    return ", ".join(
        f"{size(document[key])} sent" if key == "bytes_sent" else counted(document[key], key[:-1])
        for key in ("commits", "objects", "bytes_sent", "requests")
        if key in document
    )


def run(demo: Demo) -> None:
    data, work, clone = demo.folder / "hub", demo.folder / "work", demo.folder / "clone"
    password = secrets.token_urlsafe(12)
    demo.muse("config", "set", "--global", "user.name", "Demo")
    demo.muse("config", "set", "--global", "user.email", "demo@example.org")
    demo.musehub("user", "add", "demo", "--data", data, "--password-stdin", text=password + "\n")
    with demo.hub(data) as address:
        print(f"hub at {address} (SQLite and a folder)\n")
        history = find_git_history()
        if history is not None:
            work.mkdir()
            demo.muse("init", work)
            imported = demo.muse("git", "import", history, cwd=work)
            show("import this Git history", imported["seconds"], f"{imported['commits']} commits")
            demo.muse("switch", demo.muse("branch", cwd=work)["branches"][0]["name"], "--force", cwd=work)
        else:
            make_sample(demo, work)
        demo.muse("auth", "login", address, "--user", "demo", "--password-stdin", text=password + "\n")
        url = f"{address}/demo/demo"
        demo.muse("remote", "add", "origin", url, cwd=work)
        first = demo.muse("push", "origin", "--public", cwd=work)
        show("first push", first["seconds"], transfer(first))
        again = demo.muse("push", "origin", cwd=work)
        show("push with nothing new", again["seconds"], transfer(again))
        (work / "DEMO.md").write_text("# One more file\n\nCommitted by `make demo`.\n")
        demo.muse("commit", "-m", "Add a file for the demo", cwd=work)
        one = demo.muse("push", "origin", cwd=work)
        show("push of one more commit", one["seconds"], transfer(one))
        cloned = demo.muse("clone", url, clone)
        show("clone", cloned["seconds"], transfer(cloned))
        started = time.perf_counter()
        objects, size_bytes = compare(work, clone)
        show(
            "compare clone and source",
            time.perf_counter() - started,
            f"{objects} objects, {size(size_bytes)}",
        )
        print()
        if sys.stdin.isatty() and sys.stdout.isatty():
            print(f"see it at {url}")
            print(f"log in as demo with password {password}; Ctrl-C stops the hub and removes all of it")
            try:
                while True:
                    time.sleep(3600)
            except KeyboardInterrupt:
                print()
        print(
            f"demo: ok – {objects} objects imported, pushed, cloned and proved identical; "
            f"push {first['seconds']:.2f} s, nothing new {again['seconds']:.2f} s, "
            f"clone {cloned['seconds']:.2f} s"
        )


def main() -> None:
    folder = Path(tempfile.mkdtemp(prefix="muse-demo-"))
    try:
        run(Demo(folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
