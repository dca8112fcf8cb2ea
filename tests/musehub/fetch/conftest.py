"""These run on both homes of a hub."""

from __future__ import annotations

from tests.musehub.homes import settings

__all__ = ["settings"]
