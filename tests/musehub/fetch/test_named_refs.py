"""A fetch of named refs is told of these alone, however many there are."""

from __future__ import annotations

import sqlalchemy as sa
from tests.musehub.fetch.receiver import Receiver, reachable
from tests.musehub.hub import History, Remote, RunningHub

from muse.objects.ids import Kind
from muse.wire.push import RefUpdate
from muse.wire.refs import Ref
from musehub.db.instants import utc_now
from musehub.db.refs import replace_refs
from musehub.db.tables import repositories, users


async def add_refs(hub: RunningHub, owner: str, more: dict[str, Ref | None]) -> None:
    """Give the only repository of a user refs that nobody pushed."""
    query = sa.select(repositories.c.id).join(users).where(users.c.name == owner)
    async with hub.database.transaction("add refs") as conn:
        await replace_refs(conn, (await conn.execute(query)).scalar_one(), more, utc_now())


def test_a_fetch_of_one_branch_costs_the_same_however_many_there_are(hub: RunningHub) -> None:
    lengths = set()
    for count in (10, 20_000):
        user = hub.user(f"u{count:05}")
        remote = user.repository("notes")
        history = History()
        old = history.commit_files({"a": b"1"})
        remote.push_main(history, old)
        new = history.commit_files({"b": b"2"}, old)
        remote.push_main(history, new, old)
        hub.call(add_refs(hub, user.name, {f"heads/b{number}": Ref(old) for number in range(count)}))
        answer = remote.fetch(["heads/main"], [old], all_refs=False)
        assert set(answer.frames()[0].json()["refs"]) == {"heads/main"}
        assert set(Receiver(remote, reachable(history, old)).take(answer).received) == set(
            reachable(history, new)
        ) - set(reachable(history, old))
        lengths.add(len(answer.body))
        everything = remote.fetch(["heads/main"], [old]).frames()[0].json()["refs"]
        assert len(everything) == count + 1
    assert len(lengths) == 1


def test_refs_not_asked_for_are_not_told(ada: Remote) -> None:
    history = History()
    commit = history.commit_files({"a": b"1"})
    tag = history.tag("v1", commit)
    updates = [RefUpdate("heads/main", None, commit), RefUpdate("tags/v1", None, tag, Kind.TAG)]
    ada.push(history, updates)

    def told(*wants: str) -> list[str]:
        return list(ada.fetch(list(wants), all_refs=False).frames()[0].json()["refs"])

    assert told("tags/v1") == ["tags/v1"]
    assert told(commit.hex()) == []
    assert told(commit.hex(), "heads/main", "heads/main") == ["heads/main"]
    assert ada.fetch(["heads/none"], all_refs=False).error().code == "unknown-revision"
    whole = ada.fetch(None, all_refs=False).frames()[0].json()["refs"]
    assert list(whole) == ["heads/main", "tags/v1"]
