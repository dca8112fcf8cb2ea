"""What this hub tells clients of its limits."""

from __future__ import annotations

from muse.wire.refs import Limits
from musehub.settings import Settings


def limits_of(settings: Settings) -> Limits:
    return Limits(
        stream_max_objects=settings.stream_max_objects,
        stream_max_size_bytes=settings.stream_max_size_bytes,
        pack_max_bytes=settings.pack_max_bytes,
        frame_max_bytes=settings.frame_max_bytes,
        object_max_bytes=settings.object_max_bytes,
        heartbeat_s=settings.heartbeat_s,
    )
