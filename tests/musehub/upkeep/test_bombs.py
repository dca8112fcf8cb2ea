"""Upkeep looks at every object once, however often trees name it."""

from __future__ import annotations

from typing import Any

from tests.musehub.hub import History
from tests.musehub.repos.test_bombs import LEVELS, nest
from tests.musehub.upkeep.conftest import Upkeep

from muse.wire.push import RefUpdate
from musehub.db.instants import utc_now
from musehub.db.transaction import metered
from musehub.upkeep.fsck import check_hub

NAMES = [f"{number:03}" for number in range(1_000)]


def test_clean_up_and_check_of_a_bomb_cost_what_it_holds(upkeep: Upkeep) -> None:
    """Two bombs of a million million million files each, one of them reached by nothing."""
    remote = upkeep.hub.user("ada").repository("bomb")
    history = History()
    kept, dropped = nest(history, NAMES, LEVELS), nest(history, [name + "x" for name in NAMES], LEVELS)
    remote.push_main(history, dropped)
    remote.push(history, [RefUpdate("heads/main", dropped, kept, force=True)])

    async def counted(work: Any) -> tuple[Any, int]:
        with metered() as meter:
            return await work, meter.statements

    checked, statements = upkeep.call(counted(check_hub(upkeep.database, upkeep.store, utc_now, deep=True)))
    assert [each.problems for each in checked] == [[]]
    assert statements < 100
    report = upkeep.gc(days_later=2)
    assert report.repositories[0].objects == {"tree": LEVELS, "commit": 1}
    assert upkeep.fsck(deep=True) == []
