"""Commits and tags of Git as those of muse and back, to the byte (docs/git.md, "Commits and tags"). Pure.

What Git says is put into the fields of muse. Where these do not give the same bytes again – other headers, a
signature by `git`, an encoding, odd times – the bytes are kept beside them, in `extra`.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from muse.errors import InvalidData
from muse.objects.commit import Commit, Person, Tag
from muse.objects.ids import Kind

COMMIT_BYTES = "git.commit"
"""Everything of a Git commit after its tree and parents; with the suffix `.base64` where it is not UTF-8."""
TAG_BYTES = "git.tag"
"""Everything of a Git tag after its target and type."""
BASE64_SUFFIX = ".base64"
PARENTS = "git.parents"
"""The Git ids of a commit's parents where the source did not have these (a shallow clone)."""
OBJECT_FORMAT = "git.object-format"
"""Set to `sha256` where it is not sha1."""

_OWN_KEYS = frozenset(
    (COMMIT_BYTES, TAG_BYTES, COMMIT_BYTES + BASE64_SUFFIX, TAG_BYTES + BASE64_SUFFIX, PARENTS, OBJECT_FORMAT)
)
_MAX_TIME_S = 1 << 53
_MAX_LINE = 4096
"""Characters of an author line that are looked at: the pattern takes quadratic time on hostile ones."""

_COMMIT = re.compile(
    r"author ([^<>\n]*) <([^<>\n]*)> ([0-9]{1,15}) ([+-])([0-9]{2})([0-9]{2})\n"
    r"committer ([^<>\n]*) <([^<>\n]*)> ([0-9]{1,15}) ([+-])([0-9]{2})([0-9]{2})\n\n((?s:.*))"
)
_PERSON = re.compile(r"(.*?) ?<([^>]*)> *(-?[0-9]+)?(?: *([+-])([0-9]{1,2})([0-9]{2}))?(?![0-9]).*")
_LINKS = re.compile(rb"tree ([0-9a-f]+)\n((?:parent [0-9a-f]+\n)*)")
_TARGET = re.compile(rb"object ([0-9a-f]+)\ntype (commit|tree|blob|tag)\n")
_UNFIT = re.compile("[<>\n\0]")


class CommitLinks(NamedTuple):
    """What a Git commit names, in hex digits, and what stands after that."""

    tree: bytes
    parents: list[bytes]
    rest: bytes


class TagLinks(NamedTuple):
    target: bytes
    target_type: bytes
    rest: bytes


def parse_commit_links(data: bytes) -> CommitLinks:
    """Split a Git commit; raises `bad-git-data` for what Git itself would not walk."""
    match = _LINKS.match(data)
    if match is None:
        raise InvalidData("bad-git-data", "a Git commit does not begin with its tree and parents")
    return CommitLinks(match[1], match[2].split()[1::2], data[match.end() :])


def parse_tag_links(data: bytes) -> TagLinks:
    """Split a Git tag; raises `bad-git-data`."""
    match = _TARGET.match(data)
    if match is None:
        raise InvalidData("bad-git-data", "a Git tag does not begin with its target and type")
    return TagLinks(match[1], match[2], data[match.end() :])


# ---- from Git


def commit_from_git(rest: bytes, tree: bytes, parents: tuple[bytes, ...]) -> Commit:
    """Return the commit with these ids of muse that says what `rest` says; see `parse_commit_links`."""
    try:
        match = _COMMIT.fullmatch(rest.decode())
    except UnicodeDecodeError:
        match = None
    if match is not None:
        author, committer, message = _person(match, 1), _person(match, 7), match[13]
        commit = Commit(tree, parents, author, committer, message)
        if encode_commit_rest(commit) == rest:
            return commit
    header, text = _split(rest)
    author = _guess_person(header.get("author", ""))
    committer = _guess_person(header.get("committer", ""))
    return Commit(tree, parents, author, committer, text, extra=_keep(COMMIT_BYTES, rest))


def tag_from_git(rest: bytes, target: bytes, target_kind: Kind) -> Tag:
    """Return the tag with this target that says what `rest` says; see `parse_tag_links`."""
    header, text = _split(rest)
    tagger = _guess_person(header["tagger"]) if "tagger" in header else None
    tag = Tag(target, target_kind, header.get("tag", ""), tagger, text)
    if encode_tag_rest(tag) == rest:
        return tag
    return tag._replace(extra=_keep(TAG_BYTES, rest))


def _person(match: re.Match[str], group: int) -> Person:
    name, email, time, sign, hours, minutes = match.group(*range(group, group + 6))
    offset = int(hours) * 60 + int(minutes)
    return Person(name, email, int(time), -offset if sign == "-" else offset)


def _guess_person(line: str) -> Person:
    """Read as much of an author line as there is."""
    match = _PERSON.fullmatch(line[:_MAX_LINE])
    if match is None:
        return Person(line, "", 0, 0)
    name, email, digits, sign, hours, minutes = match.groups()
    time_s = int(digits) if digits and len(digits) < 20 else 0
    if abs(time_s) >= _MAX_TIME_S:
        time_s = 0
    offset = int(hours) * 60 + int(minutes) if hours else 0
    return Person(name, email, time_s, -offset if sign == "-" else offset)


def _split(rest: bytes) -> tuple[dict[str, str], str]:
    """Return the first line of each header, decoded as declared, and the message."""
    raw_header, _, message = (rest if not rest.startswith(b"\n") else b"\n" + rest).partition(b"\n\n")
    lines: dict[bytes, bytes] = {}
    for line in raw_header.split(b"\n"):
        key, _, value = line.partition(b" ")
        if key:  # else it continues the line before
            lines.setdefault(key, value)
    encoding = lines.get(b"encoding", b"utf-8").decode("ascii", "replace")
    return (
        {key.decode("ascii", "replace"): _decode(value, encoding) for key, value in lines.items()},
        _decode(message, encoding),
    )


def _decode(data: bytes, encoding: str) -> str:
    try:
        text = data.decode(encoding)
        text.encode()  # utf-7 and its like can make lone surrogates
        return text
    except (LookupError, ValueError):
        return data.decode(errors="replace")


def _keep(key: str, data: bytes) -> dict[str, str]:
    try:
        return {key: data.decode()}
    except UnicodeDecodeError:
        return {key + BASE64_SUFFIX: base64.b64encode(data).decode()}


# ---- to Git


def encode_commit(
    commit: Commit, tree: str, parents: Sequence[str], not_exported: Counter[str] | None = None
) -> bytes:
    """Return the Git commit; `tree` and `parents` are hex digits of Git ids.

    For an imported commit these are the bytes it was imported from. Counts in `not_exported`, by name, the
    facts for which a Git commit has no place.
    """
    rest = None
    if commit.extra:
        rest = _find_kept(COMMIT_BYTES, commit.extra)
        if rest is not None:
            again = commit_from_git(rest, commit.tree, commit.parents)
            if again._replace(extra={}) != commit._replace(extra={}, agent=None, signature=None):
                rest = None
                _count(not_exported, "bytes of Git that contradict their commit")
        if not commit.parents and PARENTS in commit.extra:
            parents = commit.extra[PARENTS].split()
        if any(key not in _OWN_KEYS for key in commit.extra):
            _count(not_exported, "extra fields")
    if commit.signature is not None:
        _count(not_exported, "signatures of muse")
    if commit.agent is not None:
        _count(not_exported, "agents")
    links = "".join([f"tree {tree}\n", *(f"parent {parent}\n" for parent in parents)])
    return links.encode() + (rest if rest is not None else encode_commit_rest(commit))


def encode_commit_rest(commit: Commit) -> bytes:
    """Return what stands after tree and parents as the fields alone say it."""
    author, committer = _encode_person(commit.author), _encode_person(commit.committer)
    return f"author {author}\ncommitter {committer}\n\n{commit.message}".encode()


def encode_tag(tag: Tag, target: str, not_exported: Counter[str] | None = None) -> bytes:
    """Return the Git tag; `target` is a Git id in hex digits. Otherwise as `encode_commit`."""
    rest = None
    if tag.extra:
        rest = _find_kept(TAG_BYTES, tag.extra)
        if rest is not None:
            again = tag_from_git(rest, tag.target, tag.target_kind)
            if again._replace(extra={}) != tag._replace(extra={}, signature=None):
                rest = None
                _count(not_exported, "bytes of Git that contradict their tag")
        if any(key not in _OWN_KEYS for key in tag.extra):
            _count(not_exported, "extra fields")
    if tag.signature is not None:
        _count(not_exported, "signatures of muse")
    links = f"object {target}\ntype {tag.target_kind.word}\n"
    return links.encode() + (rest if rest is not None else encode_tag_rest(tag))


def encode_tag_rest(tag: Tag) -> bytes:
    """Return what stands after target and type as the fields alone say it."""
    tagger = f"tagger {_encode_person(tag.tagger)}\n" if tag.tagger is not None else ""
    return f"tag {_UNFIT.sub('', tag.name)}\n{tagger}\n{tag.message}".encode()


def _encode_person(person: Person) -> str:
    """Return the line of Git; characters that would break it are left out, and Git's time begins in 1970."""
    name, email, time_s, offset_min = person
    if _UNFIT.search(name):
        name = _UNFIT.sub("", name)
    if _UNFIT.search(email):
        email = _UNFIT.sub("", email)
    hours, minutes = divmod(abs(offset_min), 60)
    return f"{name} <{email}> {max(time_s, 0)} {'-' if offset_min < 0 else '+'}{hours:02}{minutes:02}"


def _find_kept(key: str, extra: Mapping[str, str]) -> bytes | None:
    text = extra.get(key)
    if text is not None:
        return text.encode()
    text = extra.get(key + BASE64_SUFFIX)
    if text is None:
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _count(not_exported: Counter[str] | None, name: str) -> None:
    if not_exported is not None:
        not_exported[name] += 1
