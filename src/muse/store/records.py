"""Records as the store holds them: parsed, decoded and hashed, or told to be missing or damaged."""

from __future__ import annotations

from muse.errors import CorruptStore, InvalidData, MuseError
from muse.objects.ids import Kind, format_id, hash_bytes
from muse.packs.record import Record, decode_object, parse_record


def parse_stored(kind: int, object_id: bytes, data: memoryview) -> Record:
    try:
        record, end = parse_record(data, 0)
    except InvalidData as error:
        raise corrupt_object(kind, object_id, error.message) from error
    if record.kind != kind or end != len(data):
        raise corrupt_object(kind, object_id, "its record is not the one that the database names")
    return record


def decode_stored(kind: int, object_id: bytes, record: Record, base_data: bytes | None) -> bytes:
    try:
        data = decode_object(record, base_data)
    except InvalidData as error:
        raise corrupt_object(kind, object_id, error.message) from error
    if hash_bytes(data) != object_id:
        raise corrupt_object(kind, object_id, "its bytes have another hash")
    return data


def _describe(kind: int, object_id: bytes) -> str:
    return f"{Kind(kind).word} {format_id(object_id)}"


def missing_object(kind: int, object_id: bytes) -> MuseError:
    return CorruptStore(
        "missing-object",
        f"{_describe(kind, object_id)} is not in this repository",
        hint="`muse fsck` shows what is missing; `muse fetch` can bring it back from a remote that has it",
        details={"kind": Kind(kind).word, "id": object_id.hex()},
    )


def corrupt_object(kind: int, object_id: bytes, reason: str) -> CorruptStore:
    return CorruptStore(
        "corrupt-object",
        f"{_describe(kind, object_id)} is damaged: {reason}",
        hint="`muse fsck` shows what else is; `muse fetch` can bring it back from a remote that has it",
        details={"kind": Kind(kind).word, "id": object_id.hex()},
    )
