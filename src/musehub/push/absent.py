"""How a push is told that something it names is not there."""

from __future__ import annotations

from collections.abc import Iterable

from muse.errors import InvalidData
from muse.objects.ids import Kind


def missing_objects(missing: Iterable[tuple[Kind, bytes]], *, retry: bool = False) -> InvalidData:
    """The `missing-objects` error of docs/formats/wire.md."""
    listed = list(missing)
    some = [{"kind": kind.name.lower(), "id": object_id.hex()} for kind, object_id in listed[:20]]
    return InvalidData(
        "missing-objects",
        f"named but neither sent nor stored: {len(listed)}, such as {some[0]['kind']} {some[0]['id']}",
        hint="push again; `muse fsck` tells whether the local repository is complete",
        retry=retry,
        details={"missing": some, "count": len(listed)},
    )
