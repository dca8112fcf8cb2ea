"""The clean-up of the whole hub."""

from __future__ import annotations

import logging

from musehub.jobs.work import Payload, Work
from musehub.upkeep.collect import Collected
from musehub.upkeep.gc import JOB, collect_garbage

logger = logging.getLogger("musehub.jobs")

NAME = JOB


async def run(work: Work, _payload: Payload) -> None:
    """Do what `musehub gc` does; a clean-up that was cut off begins anew and finds less to do."""
    parts = work.parts

    def warn(collected: Collected) -> None:
        if collected.left is not None:
            logger.warning("clean-up of %s: %s", collected.repository, collected.left)

    report = await collect_garbage(parts.database, parts.store, parts.settings, parts.clock, report=warn)
    logger.info(
        "clean-up: freed %d bytes in %d repositories, deleted %d keys of the store",
        report.freed_bytes,
        len(report.repositories),
        report.deleted_keys,
    )
