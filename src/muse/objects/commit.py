"""Commits and annotated tags (docs/formats/objects.md, "Commits and tags")."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from muse.errors import InvalidData
from muse.objects.canonical import decode_canonical, encode_canonical
from muse.objects.ids import ID_BYTES, KINDS_BY_WORD, Kind

COMMIT_LINE = b"muse commit 1\n"
TAG_LINE = b"muse tag 1\n"
MAX_PARENTS = 4096
_TAG_TARGETS = {word: kind for word, kind in KINDS_BY_WORD.items() if kind is not Kind.CHUNKS}


class Person(NamedTuple):
    """Who and when: `time_s` seconds since 1970 UTC, `offset_min` minutes east of UTC."""

    name: str
    email: str
    time_s: int
    offset_min: int


class Agent(NamedTuple):
    """The program that wrote a commit on its own; absent fields are empty strings."""

    name: str
    model: str = ""
    tool: str = ""


class Signature(NamedTuple):
    """Ed25519 public key (32 bytes) and signature (64 bytes) over the object without this field."""

    key: bytes
    value: bytes


class Commit(NamedTuple):
    """A snapshot with its history. `agent` is None when a human wrote it. `extra` maps text to text."""

    tree: bytes
    parents: tuple[bytes, ...]
    author: Person
    committer: Person
    message: str
    agent: Agent | None = None
    extra: Mapping[str, str] = {}
    signature: Signature | None = None

    @property
    def summary(self) -> str:
        """The first line of the message."""
        return self.message.lstrip("\n").split("\n", 1)[0]


class Tag(NamedTuple):
    """An annotated tag: a signed or dated name for another object."""

    target: bytes
    target_kind: Kind
    name: str
    tagger: Person | None
    message: str
    extra: Mapping[str, str] = {}
    signature: Signature | None = None


def _person(person: Person) -> dict[str, Any]:
    return {"email": person.email, "name": person.name, "offset": person.offset_min, "time": person.time_s}


def _common(value: Commit | Tag) -> dict[str, Any]:
    data: dict[str, Any] = {"extra": dict(value.extra), "message": value.message, "signature": None}
    if value.signature is not None:
        data["signature"] = {"key": value.signature.key.hex(), "value": value.signature.value.hex()}
    return data


def encode_commit(commit: Commit) -> bytes:
    data = _common(commit)
    data["agent"] = commit.agent._asdict() if commit.agent is not None else None
    data["author"] = _person(commit.author)
    data["committer"] = _person(commit.committer)
    data["parents"] = [parent.hex() for parent in commit.parents]
    data["tree"] = commit.tree.hex()
    return encode_canonical(COMMIT_LINE, data)


def encode_tag(tag: Tag) -> bytes:
    data = _common(tag)
    data["name"] = tag.name
    data["tagger"] = _person(tag.tagger) if tag.tagger is not None else None
    data["target"] = tag.target.hex()
    data["target_kind"] = tag.target_kind.word
    return encode_canonical(TAG_LINE, data)


class _Fields:
    """Takes typed fields out of a decoded object; anything wrong or left over is `bad-object`."""

    def __init__(self, what: str, data: object) -> None:
        if not isinstance(data, dict):
            raise InvalidData("bad-object", f"{what} is not an object")
        self._what = what
        self._data = dict(data)

    def take(self, name: str, *types: type) -> Any:
        value = self._data.pop(name, self)
        if type(value) not in types:
            raise InvalidData("bad-object", f'{self._what} has no valid "{name}"')
        return value

    def take_null(self, name: str) -> bool:
        """Remove the field and return True if it is null; leave it otherwise."""
        if name in self._data and self._data[name] is None:
            del self._data[name]
            return True
        return False

    def take_hex(self, name: str, size_bytes: int) -> bytes:
        return self.decode_hex(self.take(name, str), name, size_bytes)

    def decode_hex(self, text: object, name: str, size_bytes: int) -> bytes:
        if isinstance(text, str) and len(text) == 2 * size_bytes:
            try:
                value = bytes.fromhex(text)
            except ValueError:
                value = b""
            if value.hex() == text:
                return value
        raise InvalidData("bad-object", f'{self._what} has no valid "{name}"')

    def close(self) -> None:
        if self._data:
            raise InvalidData(
                "bad-object", f"{self._what} has unknown fields: {', '.join(sorted(self._data))}"
            )


def _take_person(fields: _Fields, name: str) -> Person:
    inner = _Fields(name, fields.take(name, dict))
    person = Person(
        name=inner.take("name", str),
        email=inner.take("email", str),
        time_s=inner.take("time", int),
        offset_min=inner.take("offset", int),
    )
    inner.close()
    return person


def _take_agent(fields: _Fields) -> Agent | None:
    if fields.take_null("agent"):
        return None
    inner = _Fields("agent", fields.take("agent", dict))
    agent = Agent(inner.take("name", str), inner.take("model", str), inner.take("tool", str))
    inner.close()
    return agent


def _take_extra(fields: _Fields) -> dict[str, str]:
    extra: dict[str, str] = fields.take("extra", dict)
    if not all(type(value) is str for value in extra.values()):
        raise InvalidData("bad-object", "extra fields map text to text")
    return extra


def _take_signature(fields: _Fields) -> Signature | None:
    if fields.take_null("signature"):
        return None
    inner = _Fields("signature", fields.take("signature", dict))
    signature = Signature(inner.take_hex("key", 32), inner.take_hex("value", 64))
    inner.close()
    return signature


def decode_commit(data: bytes) -> Commit:
    """Decode and validate a commit; raises `bad-object`."""
    fields = _Fields("commit", decode_canonical(COMMIT_LINE, data))
    parents = fields.take("parents", list)
    if len(parents) > MAX_PARENTS:
        raise InvalidData("bad-object", f"commit has more than {MAX_PARENTS} parents")
    commit = Commit(
        tree=fields.take_hex("tree", ID_BYTES),
        parents=tuple(fields.decode_hex(parent, "parents", ID_BYTES) for parent in parents),
        author=_take_person(fields, "author"),
        committer=_take_person(fields, "committer"),
        message=fields.take("message", str),
        agent=_take_agent(fields),
        extra=_take_extra(fields),
        signature=_take_signature(fields),
    )
    fields.close()
    return commit


def decode_tag(data: bytes) -> Tag:
    """Decode and validate an annotated tag; raises `bad-object`."""
    fields = _Fields("tag", decode_canonical(TAG_LINE, data))
    target_kind = _TAG_TARGETS.get(fields.take("target_kind", str))
    if target_kind is None:
        raise InvalidData("bad-object", 'tag has no valid "target_kind"')
    tagger = None if fields.take_null("tagger") else _take_person(fields, "tagger")
    tag = Tag(
        target=fields.take_hex("target", ID_BYTES),
        target_kind=target_kind,
        name=fields.take("name", str),
        tagger=tagger,
        message=fields.take("message", str),
        extra=_take_extra(fields),
        signature=_take_signature(fields),
    )
    fields.close()
    return tag
