"""Turns the records of a frame into verified objects: pure work for a worker thread."""

from __future__ import annotations

from muse.errors import InvalidData, LimitReached
from muse.objects.chunks import decode_chunks
from muse.objects.commit import Commit, Tag, decode_commit, decode_tag
from muse.objects.ids import KINDS, Kind, hash_short
from muse.objects.signature import check_signature
from muse.packs.record import Record, parse_record
from muse.wire.frames import KINDS_OF_FRAME, Frame
from musehub.push.known import Claims, Known
from musehub.repos.decoder import Decoder

MAX_RECORDS = 1 << 16
MAX_RAW_BYTES = 4 << 30
"""Of one frame: what a few kilobytes of compressed zeros may cost in time."""

MAX_TAG_CHAIN = 16
"""Tags of tags: whoever wants to know what the first one names asks for one after the other."""

_BLOB, _TREE = int(Kind.BLOB), int(Kind.TREE)


def parse_batch(frame: Frame, max_object_bytes: int) -> list[Record]:
    """Parse the records of an S, O or C frame; raises `bad-frame`, `bad-record`, `truncated`, `too-large`."""
    allowed = KINDS_OF_FRAME[frame.type]
    view = memoryview(frame.payload)
    records = []
    offset = raw_bytes = 0
    while offset < len(view):
        record, offset = parse_record(view, offset, max_object_bytes)
        if record.kind not in allowed:
            raise InvalidData(
                "bad-frame", f"frame {frame.type.decode()} holds a {Kind(record.kind).name.lower()}"
            )
        raw_bytes += record.raw_size
        records.append(record)
        if len(records) > MAX_RECORDS or raw_bytes > MAX_RAW_BYTES:
            raise LimitReached("too-large", "a frame holds too many records or too much once inflated")
    return records


def bases_of(records: list[Record]) -> set[bytes]:
    return {record.base for record in records if record.base is not None}


class Batch:
    """What a frame holds, once decoded: objects in their order, and what they say about others.

    `decode` raises MissingBase when a base must be offered first; called again, it goes on where it stopped.
    """

    def __init__(self, records: list[Record]) -> None:
        self.records = records
        self.objects: list[tuple[bytes, Record]] = []
        self.claims = Claims()
        self.commits: list[tuple[bytes, Commit]] = []
        self.tags: list[tuple[bytes, Tag]] = []
        self.recorded_tags: set[bytes] = set()
        """Tags that those of this batch name and of which this push does not know what they name."""
        self._own_commits: set[bytes] = set()

    def decode(self, decoder: Decoder, known: Known) -> None:
        """Decode, hash and validate; adds to `known` what is here, and what has to be looked up now."""
        for record in self.records[len(self.objects) :]:
            data, depth = decoder.decode(record)
            object_id = hash_short(data)
            kind = record.kind
            if kind == _TREE:
                base = decoder.find_decoded(kind, record.base) if record.base is not None else None
                known.add_tree(object_id, data, self.claims, base)
            elif kind == _BLOB:
                known.blobs[object_id] = len(data)
            else:
                self._read(KINDS[kind], object_id, data, known)
            decoder.keep(kind, object_id, data, depth)
            self.objects.append((object_id, record))

    def _read(self, kind: Kind, object_id: bytes, data: bytes, known: Known) -> None:
        if kind is Kind.CHUNKS:
            known.add_chunks(object_id, decode_chunks(data), self.claims)
        elif kind is Kind.COMMIT:
            commit = decode_commit(data)
            _check_signature(commit, object_id)
            self._need(Kind.TREE, commit.tree, known)
            for parent in commit.parents:
                if parent not in self._own_commits:
                    self._need(Kind.COMMIT, parent, known)
            self._own_commits.add(object_id)
            self.commits.append((object_id, commit))
        else:
            tag = decode_tag(data)
            _check_signature(tag, object_id)
            if tag.target_kind is not Kind.COMMIT or tag.target not in self._own_commits:
                self._need(tag.target_kind, tag.target, known)
            known.tags[object_id] = self._measure_chain(tag, known)
            self.tags.append((object_id, tag))

    def _measure_chain(self, tag: Tag, known: Known) -> int:
        if tag.target_kind is not Kind.TAG:
            return 1
        if tag.target not in known.tags:
            self.recorded_tags.add(tag.target)
        length = 1 + known.tags.get(tag.target, 1)
        if length > MAX_TAG_CHAIN:
            raise too_long_chain()
        return length

    def _need(self, kind: Kind, object_id: bytes, known: Known) -> None:
        if not known.has(kind, object_id):
            self.claims.ids[kind].add(object_id)


def too_long_chain() -> LimitReached:
    return LimitReached("too-large", f"a tag names a tag that names a tag, more than {MAX_TAG_CHAIN} times")


def _check_signature(value: Commit | Tag, object_id: bytes) -> None:
    # 988 take 0.2 s here; a second thread would win a tenth, because half of it is encoding what was signed.
    if value.signature is None:
        return
    try:
        check_signature(value)
    except InvalidData as error:
        name = "commit" if isinstance(value, Commit) else "tag"
        raise InvalidData(
            "bad-signature",
            f"the signature of {name} {object_id.hex()} does not verify",
            details={"id": object_id.hex()},
        ) from error
