"""The last step of every deletion of packs: keys of the store, then the rows that condemned them.

The steps before it, and why a push can rely on them: docs/decisions/0010-collecting-beside-pushes.md.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from musehub.db.condemned import forget_condemned
from musehub.db.engine import Database
from musehub.db.state import add_to_totals, load_state
from musehub.storage.port import Store, pack_key

logger = logging.getLogger("musehub.storage")

LEASE_S = 600.0
"""For hundreds of packs in one call."""
DELETING_SHARE = 0.2
"""Of a lease: whoever takes a pack back when it has ended must not lose it to a late deletion."""


async def delete_leased(
    database: Database, store: Store, repository_id: int, digests: Sequence[bytes], lease_s: float
) -> bool:
    """Delete condemned packs that the caller has leased for `lease_s` just now.

    False when the store takes too long: they stay condemned, and a later clean-up deletes them.
    """
    keys = [pack_key(repository_id, digest) for digest in digests]
    try:
        await asyncio.wait_for(store.delete(keys), lease_s * DELETING_SHARE)
    except TimeoutError:
        logger.warning("the store takes too long to delete %d packs; a later clean-up tries again", len(keys))
        return False
    async with database.transaction("forget condemned") as conn:
        await load_state(conn, repository_id, lock=True)  # None if it was deleted; its keys go all the same
        await forget_condemned(conn, repository_id, digests)
        # Whoever looked at one of these keys before it was deleted looks again.
        await add_to_totals(conn, repository_id, 0, 0, removed=True)
    return True
