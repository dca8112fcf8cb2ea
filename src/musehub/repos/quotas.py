"""What a repository and all those of a user may hold: a limit of their own, or what the settings say.

0 is no limit; None as one's own is what the settings say.
"""

from __future__ import annotations

from musehub.db.state import Totals
from musehub.settings import Settings


def quota_of_repository(settings: Settings, own_bytes: int | None, own_objects: int | None) -> Totals:
    return Totals(
        settings.quota_repository_bytes if own_bytes is None else own_bytes,
        settings.quota_repository_objects if own_objects is None else own_objects,
    )


def quota_of_user(settings: Settings, own_bytes: int | None, own_objects: int | None) -> Totals:
    return Totals(
        settings.quota_user_bytes if own_bytes is None else own_bytes,
        settings.quota_user_objects if own_objects is None else own_objects,
    )
