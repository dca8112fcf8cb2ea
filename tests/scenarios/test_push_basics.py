"""Push as a user sees it: what lands, what it costs, what is refused."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.faulty_proxy import FaultyProxy
from tests.histories import commit_files, commit_random, content, make_repository, tag_commit
from tests.hub_process import HubProcess

from muse.errors import Conflict, MuseError, NotFound
from muse.history.edit import edit_tree
from muse.history.lookup import find_path
from muse.objects.commit import Commit, Person, encode_commit
from muse.objects.ids import Kind
from muse.objects.tree import FILE, Entry
from muse.remote.address import RepositoryUrl
from muse.remote.clone import clone
from muse.remote.fetch import fetch
from muse.remote.push import Pushed, PushOptions, push
from muse.remote.selection import select_refs
from muse.store.database import Database
from muse.store.repository import Repository


class Work:
    """A repository with a remote, and a client for it."""

    def __init__(self, repository: Repository, hub: HubProcess, proxy: FaultyProxy) -> None:
        self.repository = repository
        self._hub = hub
        self._proxy = proxy

    def head(self) -> bytes:
        return self.repository.refs.get("heads/main").target

    def push(self, *specs: str, options: PushOptions | None = None, **choice: bool) -> Pushed:
        wishes = select_refs(self.repository, specs, **choice)
        with self._hub.client(self._proxy.origin) as client:
            return push(self.repository, "origin", wishes, client, options=options)

    def fetch(self) -> None:
        with self._hub.client(self._proxy.origin) as client:
            fetch(self.repository, "origin", client)


@pytest.fixture
def make_work(
    tmp_path: Path, hub_process: HubProcess, proxy: FaultyProxy, url: RepositoryUrl
) -> Iterator[Callable[[str], Work]]:
    made: list[Repository] = []

    def make(name: str) -> Work:
        repository = make_repository(tmp_path / name, url)
        made.append(repository)
        return Work(repository, hub_process, proxy)

    yield make
    for repository in made:
        repository.close()


@pytest.fixture
def work(make_work: Callable[[str], Work]) -> Work:
    return make_work("work")


def check_clone(work: Work, url: RepositoryUrl, hub: HubProcess, folder: Path) -> None:
    """Clone and compare every ref and every object."""
    with hub.client(url.origin) as client:
        made = clone(url, folder, client, checkout=False)
    with made.repository as copy:
        assert content(copy, "remotes/origin/") == content(work.repository, "remotes/origin/")


def test_a_small_push_creates_the_repository_in_two_requests(
    work: Work, proxy: FaultyProxy, url: RepositoryUrl, hub_process: HubProcess, tmp_path: Path
) -> None:
    head = commit_files(work.repository, {"a/b.txt": b"hello\n", "empty": b""})
    pushed = work.push()
    assert proxy.kinds == ["refs", "push/stream"]
    assert pushed.receipt.created
    assert pushed.receipt.refs["heads/main"].target == head
    assert work.repository.refs.get("remotes/origin/heads/main").target == head
    check_clone(work, url, hub_process, tmp_path / "clone")


def test_a_large_push_goes_in_packs_and_never_through_the_stream(
    work: Work, proxy: FaultyProxy, url: RepositoryUrl, hub_process: HubProcess, tmp_path: Path
) -> None:
    rng = random.Random(1)
    commit_random(work.repository, rng, commits=30, files=8, size=4000)
    pushed = work.push()
    assert pushed.packs >= 3
    assert pushed.receipt.created
    stream = next(request for request in proxy.requests if request.kind == "push/stream")
    assert proxy.kinds.count("push/presign") == pushed.packs
    assert proxy.kinds.count("push/confirm") == pushed.packs
    assert stream.bytes_up < proxy.bytes_up / 4
    assert pushed.receipt.counts["blobs"] > 100
    assert work.repository.remotes.get_open_push("origin") is None
    check_clone(work, url, hub_process, tmp_path / "clone")


def test_nothing_new_and_one_more_commit_are_one_request_each(work: Work, proxy: FaultyProxy) -> None:
    commit_random(work.repository, random.Random(2), commits=10, files=8)
    work.push()
    proxy.reset()
    assert work.push().receipt.up_to_date
    assert proxy.kinds == ["push/stream"]
    assert proxy.bytes_up < 1000
    proxy.reset()
    commit_files(work.repository, {"text/1/1.txt": b"one more"})
    pushed = work.push()
    assert proxy.kinds == ["push/stream"]
    assert pushed.objects == 5  # a blob, three trees, a commit
    assert proxy.bytes_up < 4000


@contextmanager
def counted_calls() -> Iterator[list[int]]:
    """Count the calls that this thread makes, of functions in Python and others."""
    counts = [0]

    def count(frame: object, event: str, argument: object) -> None:
        counts[0] += event in ("call", "c_call")

    sys.setprofile(count)
    try:
        yield counts
    finally:
        sys.setprofile(None)


def test_a_push_does_the_same_however_many_branches_the_remote_has(work: Work) -> None:
    commit_files(work.repository, {"a": b"1"})
    work.push()
    done: dict[str, list[int]] = {"nothing": [], "a commit": []}
    for more in (10, 20_000):
        head = work.head()
        with work.repository.transaction() as transaction:
            for number in range(more):
                transaction.set_ref(f"remotes/origin/heads/b{number:05}", head)
        for what, counts in done.items():
            if what != "nothing":
                commit_files(work.repository, {"a": b"%d" % more})
            with counted_calls() as calls:
                pushed = work.push()
            assert pushed.requests == 1
            counts += calls
    for counts in done.values():
        assert max(counts) < 2 * min(counts), done


def test_branches_that_are_there_cost_no_query_each(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    queries = 0

    def counted(run: Callable[..., Any]) -> Callable[..., Any]:
        def count(*arguments: Any) -> Any:
            nonlocal queries
            queries += 1
            return run(*arguments)

        return count

    monkeypatch.setattr(Database, "find_row", counted(Database.find_row))
    monkeypatch.setattr(Database, "load_rows", counted(Database.load_rows))
    commit_files(work.repository, {"a": b"a"})
    costs = []
    for more in (10, 500):
        head = work.head()
        with work.repository.transaction() as transaction:
            for number in range(more):
                transaction.set_ref(f"heads/b{number:03}", head)
        work.push(all_branches=True)
        queries = 0
        work.push(all_branches=True)
        costs.append(queries)
    assert costs[0] == costs[1], costs


@pytest.mark.parametrize("size", [100, 150_000])
def test_what_is_damaged_here_is_named_and_does_not_land(work: Work, size: int) -> None:
    rng = random.Random(8)
    commit_files(work.repository, {"a": rng.randbytes(size), "b": rng.randbytes(size)})
    entry = find_path(work.repository.objects.load, work.repository.graph(work.head()).tree, "b")
    assert entry is not None
    place = work.repository.objects.find_places(Kind.BLOB, [entry.id])[0]
    (segment,) = work.repository.segments_dir.iterdir()
    with segment.open("r+b") as file:
        file.seek(place.end - 1)
        file.write(b"?")
    work.repository.objects.forget()
    with pytest.raises(MuseError) as caught:
        work.push()
    assert caught.value.code == "corrupt-object"
    assert caught.value.details["id"] == entry.id.hex()
    assert "muse fsck" in (caught.value.hint or "")


def test_phases_add_up_to_the_whole(work: Work) -> None:
    commit_random(work.repository, random.Random(3), commits=5, files=8)
    pushed = work.push()
    names = [phase.name for phase in pushed.phases]
    assert names[0] == "plan"
    assert "wait for the hub" in names
    assert all(phase.seconds >= 0 for phase in pushed.phases)
    timeline = pushed.receipt.timeline
    assert sum(phase["s"] for phase in timeline["phases"]) == pytest.approx(timeline["total_s"], rel=0.05)


def test_branches_and_tags_move_together_or_not_at_all(
    work: Work, url: RepositoryUrl, hub_process: HubProcess, tmp_path: Path, make_work: Callable[[str], Work]
) -> None:
    first = commit_files(work.repository, {"a": b"1"})
    second = commit_files(work.repository, {"a": b"2"}, branch="side", parents=[first])
    tag_commit(work.repository, "v1", second)
    with work.repository.transaction() as transaction:
        transaction.set_ref("tags/light", first)
    work.push(all_branches=True, tags=True)
    names = {ref.name.removeprefix("remotes/origin/") for ref in work.repository.refs.iter("remotes/")}
    assert names == {"heads/main", "heads/side", "tags/light", "tags/v1"}
    check_clone(work, url, hub_process, tmp_path / "clone")

    other = make_work("other")
    other.fetch()
    commit_files(other.repository, {"a": b"3"}, branch="side", parents=[second])
    other.push("side")
    commit_files(work.repository, {"b": b"1"})
    commit_files(work.repository, {"b": b"2"}, branch="side")
    with pytest.raises(Conflict) as caught:
        work.push(all_branches=True)
    assert caught.value.code == "not-fast-forward"
    assert "muse pull" in (caught.value.hint or "")
    other.fetch()
    assert other.repository.refs.get("remotes/origin/heads/main").target == first


def test_a_tag_of_a_tree_and_of_a_blob_are_pushed_with_what_they_name(
    work: Work, url: RepositoryUrl, hub_process: HubProcess, tmp_path: Path
) -> None:
    commit_files(work.repository, {"a": b"1"})
    repository = work.repository
    other = commit_files(repository, {"x/y": b"deep", "z": b"flat"}, branch="hidden", parents=[])
    with repository.transaction() as transaction:
        blob = transaction.put(Kind.BLOB, b"a blob that no tree names")
    tag_commit(repository, "tree", repository.graph(other).tree, Kind.TREE)
    inner = tag_commit(repository, "inner", blob, Kind.BLOB)
    tag_commit(repository, "outer", inner, Kind.TAG)
    work.push("main", "tree", "outer")
    check_clone(work, url, hub_process, tmp_path / "clone")


def test_two_pushers_cannot_both_win(make_work: Callable[[str], Work]) -> None:
    one, other = make_work("one"), make_work("other")
    base = commit_files(one.repository, {"a": b"1"})
    one.push()
    other.fetch()
    commit_files(one.repository, {"a": b"2"})
    commit_files(other.repository, {"a": b"3"}, parents=[base])
    one.push()
    with pytest.raises(Conflict) as caught:
        other.push()
    assert caught.value.code == "not-fast-forward"
    other.fetch()
    merged = other.repository.refs.get("remotes/origin/heads/main").target
    commit_files(other.repository, {"b": b"1"}, parents=[merged])
    assert not other.push().receipt.up_to_date


def test_force_overwrites_and_a_lease_does_so_only_over_what_was_seen(
    make_work: Callable[[str], Work],
) -> None:
    one, other = make_work("one"), make_work("other")
    base = commit_files(one.repository, {"a": b"1"})
    one.push()
    other.fetch()
    commit_files(one.repository, {"a": b"2"})
    one.push()
    rewritten = commit_files(other.repository, {"a": b"rewritten"}, parents=[base])
    with pytest.raises(Conflict) as caught:
        other.push(options=PushOptions(lease=True))
    assert caught.value.code == "stale-head"
    assert "muse fetch" in (caught.value.hint or "")
    assert other.push("+main").receipt.refs["heads/main"].target == rewritten
    again = commit_files(other.repository, {"a": b"rewritten again"}, parents=[base])
    assert other.push(options=PushOptions(lease=True)).receipt.refs["heads/main"].target == again


def test_deleting_a_branch_and_pushing_it_again(work: Work) -> None:
    commit_files(work.repository, {"a": b"1"})
    commit_files(work.repository, {"a": b"2"}, branch="side")
    work.push(all_branches=True)
    work.push("side", delete=True)
    assert work.repository.refs.get("remotes/origin/heads/side") is None
    with pytest.raises(NotFound):
        work.push("side", delete=True)
    work.push("side")
    assert work.repository.refs.get("remotes/origin/heads/side") is not None
    with pytest.raises(Conflict) as caught:
        work.push("main", delete=True)
    assert caught.value.code == "checked-out"


def test_somebody_else_deleted_the_branch_meanwhile(make_work: Callable[[str], Work]) -> None:
    one, other = make_work("one"), make_work("other")
    commit_files(one.repository, {"a": b"1"})
    commit_files(one.repository, {"a": b"2"}, branch="side")
    one.push(all_branches=True)
    other.fetch()
    other.push("side", delete=True)
    head = commit_files(one.repository, {"a": b"3"}, branch="side")
    assert one.push("side").receipt.refs["heads/side"].target == head


def test_a_published_tag_moves_by_force_only(work: Work) -> None:
    first = commit_files(work.repository, {"a": b"1"})
    tag_commit(work.repository, "v1", first)
    work.push("main", "v1")
    second = commit_files(work.repository, {"a": b"2"})
    tag_commit(work.repository, "v1", second)
    with pytest.raises(Conflict) as caught:
        work.push("v1")
    assert caught.value.code == "already-exists"
    work.push("main", "v1", force=True)


def test_an_abandoned_base_does_not_travel_along(
    work: Work, url: RepositoryUrl, hub_process: HubProcess, tmp_path: Path
) -> None:
    rng = random.Random(4)
    text = b"".join(b"line %d\n" % rng.randrange(10**9) for _ in range(300))
    base = commit_files(work.repository, {"a": b"1"})
    work.push()
    commit_files(work.repository, {"song": text + b"draft"})  # given up: the next one is based on its blob
    draft = work.repository.refs.get("heads/main").target
    commit_files(work.repository, {"song": text + b"final"}, parents=[draft])
    tree = work.repository.graph(work.repository.refs.get("heads/main").target).tree
    with work.repository.transaction() as transaction:
        person = Person("Ada", "ada@example.org", 1_700_000_009, 0)
        amended = transaction.put(
            Kind.COMMIT, encode_commit(Commit(tree, (base,), person, person, "amended"))
        )
        transaction.set_ref("heads/main", amended)
    pushed = work.push()
    assert pushed.objects == 3
    check_clone(work, url, hub_process, tmp_path / "clone")


def test_without_rights_the_repository_is_not_found(
    work: Work, hub_process: HubProcess, url: RepositoryUrl
) -> None:
    commit_files(work.repository, {"a": b"1"})
    work.push()
    with hub_process.client(url.origin, token="mht_wrong") as client, pytest.raises(MuseError) as caught:
        push(work.repository, "origin", select_refs(work.repository), client)
    assert caught.value.code in ("bad-credentials", "repository-not-found")
    work.repository.settings.set("remote.origin.url", f"{url.origin}/nobody/songs")
    with pytest.raises(NotFound) as not_found:
        work.push()
    assert not_found.value.code == "repository-not-found"


def test_ten_of_a_hundred_thousand_files_in_one_folder_are_a_small_push(
    work: Work, proxy: FaultyProxy
) -> None:
    repository = work.repository
    with repository.transaction() as transaction:
        blob = transaction.put(Kind.BLOB, b"the same everywhere")
        entries = {f"flat/entry-{n:06}.txt": Entry("", FILE, blob, 19) for n in range(100_000)}
        tree = edit_tree(transaction.load, None, entries, transaction.put)
        ada = Person("Ada", "ada@example.org", 1_700_000_000, 0)
        head = transaction.put(Kind.COMMIT, encode_commit(Commit(tree.id, (), ada, ada, "all")))
        transaction.set_ref("heads/main", head)
    work.push()
    rng = random.Random(15)
    commit_files(
        repository, {name: rng.randbytes(40).hex().encode() for name in rng.sample(list(entries), 10)}
    )
    proxy.reset()
    work.push()
    assert proxy.kinds == ["push/stream"]
    assert proxy.bytes_up < 100_000
