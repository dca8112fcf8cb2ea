"""What Alembic runs; the connection is handed in by `musehub.db.migrate`."""

from __future__ import annotations

from typing import Any, Literal

import sqlalchemy as sa
from alembic import context

from musehub.db.tables import metadata
from musehub.db.tables.columns import Instant


def _render(kind: str, item: Any, autogen_context: Any) -> str | Literal[False]:
    """Scripts hold plain SQLAlchemy types, so that they mean the same when tables.py has changed."""
    if kind != "type":
        return False
    if isinstance(item, Instant):
        return "sa.BigInteger()"
    if isinstance(item, sa.JSON):
        autogen_context.imports.add("from sqlalchemy.dialects import postgresql")
        return 'sa.JSON().with_variant(postgresql.JSONB(), "postgresql")'
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_item=_render,
    render_as_batch=True,
    transactional_ddl=True,
    # The transaction belongs to the caller, who commits it with everything in it or not at all.
    transaction_per_migration=False,
)
context.run_migrations()
