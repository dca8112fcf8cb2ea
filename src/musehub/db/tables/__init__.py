"""Every table of the hub, one module for each noun.

Conventions: object ids, digests and keys are raw bytes (32). Instants are microseconds since 1970
in UTC, in a BIGINT on both databases, so that bulk rows need no conversion per database; queries
built with SQLAlchemy see aware `datetime` values through `Instant`. The four tables that receive
rows by the hundred thousand (blobs, records, commits, commit_parents) carry no foreign keys: the
push code checks closure with set queries, and a trigger per row would double the cost.
"""

from __future__ import annotations

from musehub.db.tables.accounts import keys, login_attempts, secrets, tokens, used_challenges, users
from musehub.db.tables.columns import metadata
from musehub.db.tables.findings import (
    activity,
    commit_figures,
    contributors,
    file_changes,
    insights,
    integrity_problems,
)
from musehub.db.tables.objects import (
    blobs,
    commit_parents,
    commits,
    condemned_packs,
    missing_objects,
    packs,
    records,
)
from musehub.db.tables.repositories import collaborators, refs, repositories
from musehub.db.tables.webhooks import webhook_attempts, webhook_deliveries, webhooks
from musehub.db.tables.work import leases, outbox, pushes

__all__ = [
    "activity",
    "blobs",
    "collaborators",
    "commit_figures",
    "commit_parents",
    "commits",
    "condemned_packs",
    "contributors",
    "file_changes",
    "insights",
    "integrity_problems",
    "keys",
    "leases",
    "login_attempts",
    "metadata",
    "missing_objects",
    "outbox",
    "packs",
    "pushes",
    "records",
    "refs",
    "repositories",
    "secrets",
    "tokens",
    "used_challenges",
    "users",
    "webhook_attempts",
    "webhook_deliveries",
    "webhooks",
]
