"""Who wrote the commits: how many, from when to when, people and agents."""

from __future__ import annotations

from musehub.db.figures import list_contributors
from musehub.jobs.changes import analyse_new_commits
from musehub.jobs.work import Payload, Work

NAME = "contributors"
SHOWN = 100


async def run(work: Work, _payload: Payload) -> None:
    """The sums grow with the walk over new commits; here the first of them are put where pages look."""
    await analyse_new_commits(work)
    async with work.parts.database.read("list contributors") as conn:
        found, count = await list_contributors(conn, work.repository.id, SHOWN)
    listed = [
        {
            "name": person.name,
            "email": person.email,
            "kind": person.kind,
            "agent": person.agent,
            "commits": person.commits,
            "first_at": person.first_at.isoformat(),
            "last_at": person.last_at.isoformat(),
        }
        for person in found
    ]
    await work.save(NAME, {"count": count, "contributors": listed})
