"""Clean-up: what no ref reaches goes, everything else stays, also beside pushes."""

from __future__ import annotations

import os
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from tests.histories import commit_files, content, make_repository
from tests.musehub.hub import History, Remote, RunningHub, header_of, pack_of, push_body
from tests.musehub.upkeep.conftest import Upkeep

from muse.errors import MuseError
from muse.objects.ids import Kind
from muse.remote.address import RepositoryUrl, parse_hub_url
from muse.remote.clone import clone
from muse.remote.push import push
from muse.remote.selection import select_refs
from muse.wire.push import Create, PushHeader, RefUpdate
from musehub.db.instants import utc_now
from musehub.db.leases import take_lease
from musehub.storage.disk import DiskStore
from musehub.storage.metering import MeteredStore
from musehub.storage.port import Store
from musehub.storage.signing import UrlSigner
from musehub.upkeep.collect import Collector
from musehub.upkeep.gc import GcReport, collect_garbage
from musehub.upkeep.lease import leased


def fetched(remote: Remote) -> dict[str, int]:
    """Counts of a clone that came through."""
    last = remote.fetch().frames()[-1]
    assert last.type == b"E", last
    counts: dict[str, int] = last.json()["counts"]
    return counts


def force(remote: Remote, history: History, new: bytes, old: bytes) -> None:
    remote.push(history, [RefUpdate("heads/main", old, new, Kind.COMMIT, True)])


def scene(upkeep: Upkeep) -> tuple[Remote, History, bytes, bytes]:
    """Two commits, of which the second is not reachable any more."""
    ada = upkeep.hub.user("ada").repository("notes")
    history = History()
    first = history.commit_files({"a": os.urandom(5000), "dir/b": b"two" * 99})
    ada.push_main(history, first)
    second = history.commit_files({"big": os.urandom(90_000), "dir/b": b"two" * 98 + b"!"}, first)
    ada.push_main(history, second, first)
    force(ada, history, first, second)
    return ada, history, first, second


def test_what_no_branch_reaches_goes_after_the_grace(upkeep: Upkeep) -> None:
    ada, _history, first, second = scene(upkeep)
    before = upkeep.repository("notes")

    assert upkeep.gc().repositories[0].objects == {}
    preview = upkeep.gc(days_later=2, dry_run=True)
    assert upkeep.repository("notes") == before
    report = upkeep.gc(days_later=2)

    (collected,) = report.repositories
    assert collected.objects == {"commit": 1, "tree": 2, "blob": 2}
    assert collected.left is None
    assert preview.repositories[0].objects == collected.objects
    assert preview.freed_bytes == report.freed_bytes
    after = upkeep.repository("notes")
    assert before.stored_objects - after.stored_objects == 5
    assert before.stored_bytes - after.stored_bytes == report.freed_bytes > 90_000
    assert fetched(ada) == {"O": 2, "S": 2, "C": 1}
    assert ada.missing(Kind.COMMIT, [first, second]) == [second]
    assert upkeep.gc(days_later=2).repositories[0].objects == {}


def test_packs_leave_the_store_another_grace_later(upkeep: Upkeep) -> None:
    scene(upkeep)
    keys = upkeep.keys()
    assert upkeep.gc(days_later=2).deleted_keys == 0
    assert upkeep.keys() == keys
    assert upkeep.gc(days_later=4).deleted_keys == 1
    assert upkeep.keys() == set(upkeep.pack_keys("notes"))


def test_packs_that_the_store_takes_too_long_to_delete_go_the_next_time(
    upkeep: Upkeep, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene(upkeep)
    upkeep.gc(days_later=2)
    with monkeypatch.context() as at_once:
        at_once.setattr("musehub.repos.disposal.DELETING_SHARE", 0)
        assert upkeep.gc(days_later=4).deleted_keys == 0
    assert len(upkeep.keys()) == 2
    assert upkeep.gc(days_later=4).deleted_keys == 0  # nobody knows whether that deletion has ended
    assert upkeep.gc(days_later=5).deleted_keys == 1
    assert upkeep.keys() == set(upkeep.pack_keys("notes"))


def test_clean_up_on_s3(upkeep_on_s3: Upkeep) -> None:
    ada, *_rest = scene(upkeep_on_s3)
    upkeep_on_s3.gc(days_later=2)
    assert upkeep_on_s3.gc(days_later=4).deleted_keys == 1
    assert upkeep_on_s3.keys() == set(upkeep_on_s3.pack_keys("notes"))
    assert fetched(ada)["C"] == 1


def test_what_was_removed_can_be_pushed_again(upkeep: Upkeep) -> None:
    ada, history, first, second = scene(upkeep)
    upkeep.gc(days_later=2)
    upkeep.gc(days_later=4)
    again = History()
    again.objects.update(history.objects)
    assert ada.push_main(again, second, first)["counts"]["commits"] == 2
    assert fetched(ada)["C"] == 2


def test_a_pack_of_which_more_than_half_is_dead_is_written_anew(upkeep: Upkeep) -> None:
    ada = upkeep.hub.user("ada").repository("notes")
    history = History()
    keep = os.urandom(2000)
    both = history.commit_files({"keep": keep, "drop": os.urandom(50_000)})
    ada.push_main(history, both)
    only = history.commit_files({"keep": keep})
    ada.push(history, [RefUpdate("heads/main", both, only, Kind.COMMIT, True)])

    preview = upkeep.gc(days_later=2, dry_run=True)
    report = upkeep.gc(days_later=2)

    assert report.repositories[0].rewritten_packs == preview.repositories[0].rewritten_packs == 1
    assert abs(report.freed_bytes - preview.freed_bytes) < 200
    assert upkeep.repository("notes").stored_bytes < 10_000
    assert fetched(ada) == {"O": 1, "S": 1, "C": 1}
    upkeep.gc(days_later=4)
    assert upkeep.keys() == set(upkeep.pack_keys("notes"))
    assert fetched(ada) == {"O": 1, "S": 1, "C": 1}


def test_of_two_clean_ups_the_second_says_that_one_runs(upkeep: Upkeep) -> None:
    scene(upkeep)
    told: list[MuseError] = []

    async def second() -> None:
        try:
            await collect_garbage(upkeep.database, upkeep.store, upkeep.settings, utc_now)
        except MuseError as error:
            told.append(error)

    async def first() -> None:
        async with leased(upkeep.database, "gc", utc_now, "a clean-up"):
            await second()
            await collect_garbage(upkeep.database, upkeep.store, upkeep.settings, utc_now, dry_run=True)
        await second()

    upkeep.call(first())
    assert [error.code for error in told] == ["already-running"]
    assert told[0].retry


def test_the_lease_of_a_process_that_died_runs_out(upkeep: Upkeep) -> None:
    now = utc_now()

    async def die() -> None:
        async with upkeep.database.transaction("test") as conn:
            assert await take_lease(conn, "gc", "dead", now, now + timedelta(seconds=60)) is None
            assert await take_lease(conn, "gc", "dead", now, now + timedelta(seconds=90)) is None
            assert await take_lease(conn, "gc", "other", now, now + timedelta(seconds=60)) == "dead"

    upkeep.call(die())
    with pytest.raises(MuseError, match="already"):
        upkeep.gc()
    upkeep.gc(days_later=1)
    upkeep.gc()


class SweptStore(MeteredStore):
    """A store under whose first reader a clean-up writes packs anew and deletes the old ones."""

    def __init__(self, inner: Store) -> None:
        super().__init__(inner)
        self.sweep: Callable[[], Awaitable[object]] | None = None

    async def get_ranges(self, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
        if self.sweep is not None:
            sweep, self.sweep = self.sweep, None
            await sweep()
        return await super().get_ranges(key, ranges)


def test_a_fetch_under_which_a_pack_is_written_anew_finds_its_blobs_again(
    start_hub: Callable[..., RunningHub], tmp_path: Path
) -> None:
    async def secret() -> bytes:
        return b"secret"

    store = SweptStore(DiskStore(tmp_path / "packs", UrlSigner(secret)))
    upkeep = Upkeep(start_hub(store))
    upkeep.store = store
    ada = upkeep.hub.user("ada").repository("notes")
    history = History()
    keep = os.urandom(2000)
    # What is dropped may lie before what is kept, or behind: the offset changes in one of the two.
    for name in ("a", "z"):
        both = history.commit_files({"k": keep + name.encode(), name: os.urandom(50_000)})
        ada.push(history, [RefUpdate(f"heads/{name}", None, both, Kind.COMMIT, True)])
        only = history.commit_files({"k": keep + name.encode()})
        ada.push(history, [RefUpdate(f"heads/{name}", both, only, Kind.COMMIT, True)])
    swept: list[GcReport] = []

    async def sweep() -> None:
        for days in (2, 4):
            now = utc_now() + timedelta(days=days)
            swept.append(await collect_garbage(upkeep.database, store, upkeep.settings, lambda now=now: now))

    store.sweep = sweep
    assert fetched(ada) == {"O": 2, "S": 2, "C": 2}
    assert swept[0].repositories[0].rewritten_packs == 2
    assert swept[1].deleted_keys == 2


def test_a_blob_that_is_gone_is_not_looked_for_again_and_again(upkeep: Upkeep) -> None:
    ada, *_rest = scene(upkeep)
    upkeep.call(upkeep.store.delete(upkeep.keys()))
    last = ada.fetch().frames()[-1]
    assert (last.type, last.json()["code"]) == (b"X", "pack-not-found")


def test_a_live_record_does_not_keep_its_dead_base(upkeep: Upkeep) -> None:
    ada = upkeep.hub.user("ada").repository("notes")
    history = History()
    names = {f"file-{n:04}": os.urandom(20) for n in range(300)}
    first = history.commit_files({**names, "x": b"1"})
    ada.push_main(history, first)
    second = history.commit_files({"x": b"2"}, first)
    ada.push_main(history, second, first)
    tree = history.graph(second).tree
    alone = history.commit(tree, message="without history")
    force(ada, history, alone, second)

    report = upkeep.gc(days_later=2)

    assert report.repositories[0].objects == {"commit": 2, "tree": 2, "blob": 1}
    assert fetched(ada)["C"] == 1
    assert ada.missing(Kind.TREE, [tree]) == []


def test_a_push_that_relied_on_what_went_away_is_told_to_send_it_again(upkeep: Upkeep) -> None:
    ada, history, first, second = scene(upkeep)
    third = history.commit_files({"more": b"3"}, second)
    body = push_body(header_of([RefUpdate("heads/main", first, third)]), history.take())
    collected = []

    def pieces() -> Iterator[bytes]:
        # The hub finds the second commit recorded; then a clean-up removes it; then comes the end.
        yield body[:-20]
        collected.append(upkeep.gc(days_later=2))
        yield body[-20:]

    answer = ada.user.request("POST", f"{ada.path}/push/stream", pieces())
    with pytest.raises(MuseError) as caught:
        answer.result()
    assert caught.value.code == "missing-objects"
    assert collected[0].repositories[0].objects["commit"] == 1
    assert fetched(ada) == {"O": 2, "S": 2, "C": 1}

    again = History()
    again.objects.update(history.objects)
    ada.push_main(again, third, first)
    assert fetched(ada)["C"] == 3


def test_a_part_relies_on_nothing_that_went_away_since_the_last_one(upkeep: Upkeep) -> None:
    ada = upkeep.hub.user("ada").repository("notes")
    history = History()
    push_id = os.urandom(16)
    part = PushHeader(push_id, [], Create(), more=True)
    first = history.commit_files({f"file-{n}": b"%d" % n for n in range(20)})
    before = history.take()
    ada.stream(push_body(part, before)).result()
    assert upkeep.gc(days_later=2).repositories[0].objects["blob"] == 20

    second = history.commit_files({"file-3": b"new"}, first)
    after = history.take()
    with pytest.raises(MuseError) as caught:
        ada.stream(push_body(part, after)).result()
    assert caught.value.code == "missing-objects"

    ada.stream(push_body(part, before)).result()
    last = header_of([RefUpdate("heads/main", None, second)], push_id=push_id)
    ada.stream(push_body(last, after)).result()
    assert fetched(ada) == {"O": 21, "S": 2, "C": 2}
    assert upkeep.fsck() == []


def test_a_push_that_lands_between_marking_and_sweeping_keeps_what_it_needs(upkeep: Upkeep) -> None:
    ada, history, first, second = scene(upkeep)
    row = upkeep.repository("notes")
    now = utc_now() + timedelta(days=2)
    collector = Collector(
        upkeep.database, upkeep.store, row.id, "ada/notes", cutoff=now - timedelta(days=1), now=now
    )
    upkeep.call(collector.mark())
    third = history.commit_files({"more": b"3"}, second)
    ada.push_main(history, third, first)
    upkeep.call(collector.sweep())
    collector.close()
    assert fetched(ada)["C"] == 3


def test_keys_that_no_row_names_go_and_young_ones_stay(upkeep: Upkeep) -> None:
    ada = upkeep.hub.user("ada").repository("notes")
    history = History()
    ada.push_main(history, history.commit_files({"a": b"1"}))
    history.commit_files({"never": os.urandom(100)})
    pack = pack_of([(i, r) for kind, i, r in history.take() if kind is Kind.BLOB])
    assert ada.upload(os.urandom(16), pack).status == 200

    assert upkeep.gc(grace=timedelta(0)).orphans.keys == 0
    assert upkeep.gc(days_later=2, dry_run=True).orphans.keys == 1
    assert len(upkeep.keys()) == 2
    report = upkeep.gc(days_later=2)
    assert (report.orphans.keys, report.deleted_keys) == (1, 1)
    assert upkeep.keys() == set(upkeep.pack_keys("notes"))


def test_pushers_and_a_clean_up_without_any_grace(upkeep: Upkeep, tmp_path: Path) -> None:
    """Nothing is too young to go: every push must notice what went under it, and land all the same."""
    user = upkeep.hub.user("ada")
    failures: list[BaseException] = []
    urls = [RepositoryUrl(parse_hub_url(upkeep.hub.url), "ada", name) for name in ("one", "two")]

    def work(number: int) -> None:
        try:
            with make_repository(tmp_path / str(number), urls[number]) as repository:
                for turn in range(6):
                    files = {
                        f"f{turn % 3}": os.urandom(400),
                        "same": b"same" * 50,
                        "turn": b"%d" % (turn // 2),
                    }
                    # Every second push throws the ones before it away and brings much of them back.
                    commit_files(repository, files, parents=None if turn % 2 else [])
                    with upkeep.client(user) as client:
                        push(repository, "origin", select_refs(repository, (), force=True), client)
                with upkeep.client(user) as client:
                    made = clone(urls[number], tmp_path / f"clone-{number}", client, checkout=False)
                with made.repository as copy:
                    assert content(copy, "remotes/origin/heads/") == content(repository)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        upkeep.gc(grace=timedelta(0))
    assert failures == []
    upkeep.gc(grace=timedelta(0))
    assert upkeep.fsck(deep=True) == []
