"""What jobs found out about a repository, and what happened in it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec
from litestar import Controller, get
from litestar.params import FromPath

from musehub.api.given import GivenActor, GivenDatabase, QueryInteger, QueryIntegerOrNone, page_size
from musehub.jobs.reading import load_activity, load_insights, load_problems


class LanguageAnswer(msgspec.Struct):
    name: str
    bytes: int
    files: int


class FileAnswer(msgspec.Struct):
    path: str
    bytes: int


class HotspotAnswer(msgspec.Struct):
    path: str
    changes: int
    bytes: int


class ContributorAnswer(msgspec.Struct):
    """`kind` is human or agent; `agent` its name."""

    name: str
    email: str
    kind: str
    agent: str
    commits: int
    first_at: datetime
    last_at: datetime


class PathChurnAnswer(msgspec.Struct):
    """Lines where they were counted: in text of up to 256 KiB."""

    path: str
    changes: int
    lines_added: int
    lines_removed: int


class ChurnAnswer(msgspec.Struct):
    days: int
    since: datetime
    commits: int
    paths_changed: int
    lines_added: int
    lines_removed: int
    added: int
    changed: int
    removed: int
    paths: list[PathChurnAnswer]


class CouplingAnswer(msgspec.Struct):
    """`share` of the commits of the more often changed one in which both changed."""

    paths: list[str]
    together: int
    share: float


class StorageAnswer(msgspec.Struct):
    stored_bytes: int
    raw_bytes: int
    objects: int
    packs: int
    pack_bytes: int
    blobs: int
    blob_stored_bytes: int
    blob_raw_bytes: int
    records: int
    record_stored_bytes: int
    record_raw_bytes: int


class DedupeAnswer(msgspec.Struct):
    raw_bytes: int
    stored_bytes: int
    ratio: float
    head_files: int
    head_bytes: int


class ScrubAnswer(msgspec.Struct):
    """Sums since the repository was made; `problems` are packs that are damaged now."""

    packs: int
    objects: int
    bytes: int
    problems: int


class InsightsAnswer(msgspec.Struct):
    """Null where the job has not run yet; `computed_at` says when each did."""

    computed_at: dict[str, datetime]
    languages: list[LanguageAnswer] | None
    largest: list[FileAnswer] | None
    contributor_count: int | None
    contributors: list[ContributorAnswer] | None
    churn: ChurnAnswer | None
    hotspots: list[HotspotAnswer] | None
    coupling: list[CouplingAnswer] | None
    storage: StorageAnswer | None
    dedupe: DedupeAnswer | None
    scrub: ScrubAnswer | None


class ActivityAnswer(msgspec.Struct):
    id: int
    kind: str
    subject: str
    user: str
    user_kind: str
    created_at: datetime
    value: dict[str, Any]


class ProblemAnswer(msgspec.Struct):
    pack: str
    problem: str
    found_at: datetime
    seen_at: datetime


class InsightController(Controller):
    path = "/api/v1/repositories/{owner:str}/{name:str}"
    tags = ["insights"]

    @get("/insights")
    async def get_insights(
        self, owner: FromPath[str], name: FromPath[str], actor: GivenActor, database: GivenDatabase
    ) -> InsightsAnswer:
        """Languages, contributors, churn, hotspots, coupling, sizes, as of the last analysed push."""
        found = await load_insights(database, actor, owner, name)
        values = {kind: insight.value for kind, insight in found.items()}
        people = values.get("contributors", {})
        return InsightsAnswer(
            computed_at={kind: insight.computed_at for kind, insight in found.items()},
            languages=_part(values, "languages", list[LanguageAnswer], "languages"),
            largest=_part(values, "largest", list[FileAnswer], "files"),
            contributor_count=people.get("count"),
            contributors=_part(values, "contributors", list[ContributorAnswer], "contributors"),
            churn=_part(values, "churn", ChurnAnswer),
            hotspots=_part(values, "hotspots", list[HotspotAnswer], "files"),
            coupling=_part(values, "coupling", list[CouplingAnswer], "pairs"),
            storage=_part(values, "storage", StorageAnswer),
            dedupe=_part(values, "dedupe", DedupeAnswer),
            scrub=_part(values, "scrub", ScrubAnswer),
        )

    @get("/activity")
    async def list_activity(
        self,
        owner: FromPath[str],
        name: FromPath[str],
        actor: GivenActor,
        database: GivenDatabase,
        limit: QueryInteger = 50,
        before: QueryIntegerOrNone = None,
    ) -> list[ActivityAnswer]:
        """What happened, newest first; `before` is the id to go on from."""
        rows = await load_activity(database, actor, owner, name, limit=page_size(limit), before=before)
        return [
            ActivityAnswer(r.id, r.kind, r.subject.hex(), r.user, r.user_kind, r.created_at, r.value)
            for r in rows
        ]

    @get("/integrity")
    async def list_problems(
        self, owner: FromPath[str], name: FromPath[str], actor: GivenActor, database: GivenDatabase
    ) -> list[ProblemAnswer]:
        """Packs that were found damaged and were not found well since, for those who may write."""
        rows = await load_problems(database, actor, owner, name)
        return [ProblemAnswer(r.pack_digest.hex(), r.problem, r.found_at, r.seen_at) for r in rows]


def _part(values: dict[str, dict[str, Any]], kind: str, shape: Any, key: str | None = None) -> Any:
    value = values.get(kind)
    if value is None:
        return None
    return msgspec.convert(value if key is None else value[key], shape, strict=False)
