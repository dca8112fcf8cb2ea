"""What is measured of one history: build, push, push again, one more commit, clone; ours beside Git."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import git_peer, ours
from benchmarks.histories import History, Step
from benchmarks.measure import Cost, process_cost, run


class Row(NamedTuple):
    """One measurement: seconds on the wall, and what else is known about it."""

    history: str
    scenario: str
    system: str
    wall_s: float
    details: dict[str, Any]


def _details(
    cost: Cost, hub: ours.Hub, before: tuple[float, float], document: dict[str, Any]
) -> dict[str, Any]:
    cpu_s, peak_mib = process_cost(hub.pid)
    timeline = document.get("timeline") or {}
    uploads = timeline.get("uploads") or {}
    fetch = document.get("fetch", {})
    return {
        "client_cpu_s": round(cost.cpu_s, 3),
        "client_peak_mib": round(cost.peak_mib),
        "hub_cpu_s": round(cpu_s - before[0], 3),
        "hub_peak_mib": round(peak_mib),
        "requests": document.get("requests", fetch.get("requests")),
        "bytes": document.get("bytes_sent", fetch.get("bytes_received")),
        "objects": document.get("objects", fetch.get("objects")),
        "statements": timeline.get("statements"),
        "upload_statements": uploads.get("statements"),
        "finalise_s": timeline.get("finalise_transaction_s"),
        "longest_transaction_s": timeline.get("longest_transaction_s"),
    }


def build_both(history: History, folder: Path) -> Iterator[Row]:
    """Make the history for both systems in `folder`; ours commit by commit, Git's with fast-import."""
    seconds = ours.build(history.steps(), folder / "muse")
    yield Row(history.name, "build", "muse", seconds, {})
    git_peer.fast_import(history.steps(), folder / "git")


def measure_import(history: History, folder: Path, hub: ours.Hub) -> Iterator[Row]:
    """`muse git import` of Git's history, beside `git fast-export | git fast-import`."""
    target = folder / "imported"
    hub.muse("init", target, cwd=folder)
    before = process_cost(hub.pid)
    cost, document = hub.muse("git", "import", folder / "git", cwd=target)
    yield Row(history.name, "import", "muse", cost.wall_s, _details(cost, hub, before, document))
    copy = folder / "fast-imported"
    copy.mkdir()
    git_peer.git("init", "-q", "--bare", ".", cwd=copy)
    pipe = 'git -C "$1" fast-export --all | git fast-import --quiet'
    cost = run("sh", "-c", pipe, "sh", folder / "git", cwd=copy, env=git_peer.ENVIRONMENT)
    yield Row(history.name, "import", "git, packed", cost.wall_s, {})


def measure_muse(history: History, folder: Path, hub: ours.Hub, name: str) -> Iterator[Row]:
    """Push, push again, push one more commit, and clone, as whole processes."""
    work = folder / "muse"
    remote = f"r{name}"
    hub.muse("remote", "add", remote, f"{hub.address}/bench/{name}", cwd=work)

    def step(scenario: str, *arguments: str | Path, cwd: Path) -> Row:
        before = process_cost(hub.pid)
        cost, document = hub.muse(*arguments, cwd=cwd)
        return Row(history.name, scenario, "muse", cost.wall_s, _details(cost, hub, before, document))

    yield step("first push", "push", remote, "main", cwd=work)
    yield step("nothing new", "push", remote, "main", cwd=work)
    _commit_one_more(work, name)
    yield step("one more commit", "push", remote, "main", cwd=work)
    yield step("clone", "clone", f"{hub.address}/bench/{name}", folder / f"clone-{name}", cwd=folder)


def _commit_one_more(work: Path, name: str) -> None:
    """Commit one new file on top of main with the library: the work tree is not checked out here."""
    from muse.history.edit import edit_tree
    from muse.objects.commit import Commit, Person, encode_commit
    from muse.objects.ids import Kind
    from muse.objects.tree import FILE, Entry
    from muse.store.repository import Repository

    content = f"one more for {name}\n".encode()
    with Repository.open(work) as repository, repository.transaction("one more") as transaction:
        head = repository.refs.get("heads/main").target
        blob = transaction.put(Kind.BLOB, content)
        changes = {f"more-{name}.txt": Entry("", FILE, blob, len(content))}
        root = edit_tree(transaction.load, repository.graph(head).tree, changes, transaction.put).id
        who = Person("bench", "bench@example.org", 1_800_000_000, 0)
        commit = Commit(root, (head,), who, who, "one more")
        transaction.set_ref("heads/main", transaction.put(Kind.COMMIT, encode_commit(commit), head), head)


def measure_git(
    history: History, folder: Path, root: Path, address: str, name: str, *, loose: bool
) -> Iterator[Row]:
    """The same with Git over smart HTTP; `loose` unpacks the history first, as a fresh one lies."""
    system = "git, loose" if loose else "git, packed"
    source = folder / f"source-{name}"
    git_peer.git("clone", "-q", "--bare", "--no-hardlinks", folder / "git", source, cwd=folder)
    if loose:
        pack = next((source / "objects" / "pack").glob("*.pack"))
        moved = pack.rename(folder / f"{name}.pack")
        shutil.rmtree(source / "objects" / "pack")
        git_peer.git("unpack-objects", "-q", cwd=source, stdin=moved.read_bytes())
        moved.unlink()
    git_peer.serve_empty(root, f"{name}.git")
    url = f"{address}/{name}.git"

    def step(scenario: str, *arguments: str | Path) -> Row:
        cost = run("git", *map(str, arguments), cwd=source, env=git_peer.ENVIRONMENT)
        return Row(history.name, scenario, system, cost.wall_s, {"client_cpu_s": round(cost.cpu_s, 3)})

    yield step("first push", "push", "-q", url, "main")
    yield step("nothing new", "push", "-q", url, "main")
    tree = git_peer.git("rev-parse", "main^{tree}", cwd=source).decode().strip()
    blob = git_peer.git("hash-object", "-w", "--stdin", cwd=source, stdin=name.encode()).decode().strip()
    listing = git_peer.git("ls-tree", tree, cwd=source) + f"100644 blob {blob}\tmore-{name}.txt\n".encode()
    tree = git_peer.git("mktree", cwd=source, stdin=listing).decode().strip()
    commit = git_peer.git("commit-tree", tree, "-p", "main", "-m", "one more", cwd=source).decode().strip()
    git_peer.git("update-ref", "refs/heads/main", commit, cwd=source)
    yield step("one more commit", "push", "-q", url, "main")
    yield step("clone", "clone", "-q", url, folder / f"git-clone-{name}")


def build_git_commit_by_commit(steps: Callable[[], Iterator[Step]], directory: Path) -> float:
    """`git add -A && git commit` for every step; returns the seconds in Git alone."""
    import time

    directory.mkdir(parents=True)
    git_peer.git("init", "-q", "-b", "main", ".", cwd=directory)
    seconds = 0.0
    for step in steps():
        for path, content in step.files.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_bytes(content)
        started = time.perf_counter()
        git_peer.git("add", "-A", cwd=directory)
        git_peer.git("commit", "-q", "-m", step.message, cwd=directory)
        seconds += time.perf_counter() - started
    return seconds
