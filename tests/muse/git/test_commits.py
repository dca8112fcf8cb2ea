"""Commits and tags of Git survive to the byte, and say in muse what they said in Git."""

from __future__ import annotations

from collections import Counter

import pytest

from muse.errors import InvalidData
from muse.git.commits import (
    commit_from_git,
    encode_commit,
    encode_tag,
    parse_commit_links,
    parse_tag_links,
    tag_from_git,
)
from muse.objects.commit import Agent, Commit, Person, Signature, decode_commit
from muse.objects.commit import encode_commit as encode_muse
from muse.objects.ids import Kind

TREE = bytes(32)
GIT_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
LINKS = f"tree {GIT_TREE}\n".encode()
PLAIN = (
    b"author Ada <ada@example.org> 1700000000 +0100\n"
    b"committer Bob <bob@example.org> 1700000060 -0330\n\nfix\n"
)
SIGNED = (
    b"author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\ngpgsig -----BEGIN PGP SIGNATURE-----\n \n iQ==\n"
    b" -----END PGP SIGNATURE-----\n\nsigned\n"
)

ODD = [
    PLAIN,
    SIGNED,
    b"author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n",
    b"author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n",
    b"author A <a@b> 1 -0000\ncommitter A <a@b> 1 +0000\n\nminus zero",
    b"author A <a@b> 1 +0575\ncommitter A <a@b> 1 +051800\n\nodd offsets",
    b"author A <a@b> 01 +0000\ncommitter A <a@b> 99999999999999999999999 +0000\n\nodd times",
    b"author A <a@b> -5 +0000\ncommitter A <a@b> 18446744073709551615 +0000\n\nolder than time",
    b"author  <> 0 +0000\ncommitter A  <a b@c> 1 +0000\n\nno name",
    b"author A<a@b> 1 +0000\ncommitter <a@b>\n\nno space, no time",
    b"author A <a <x> @b>> 1 +0000\ncommitter nobody\n\nbrackets",
    b"author A <a@b> 1 +0000\n\nno committer",
    b"author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\nencoding ISO-8859-1\n\ncaf\xe9\n",
    b"author J\xf6rg <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\nencoding latin1\n\n\xe4\n",
    b"author J\xf6rg <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nnot UTF-8 \xff\xfe\n",
    b"author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\nencoding no-such\n\n\xff\n",
    b"author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\nencoding utf-7\n\n+2AA-\n",
    b"author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\nmergetag object "
    + b"1" * 40
    + b"\n type commit\n\nm\n",
    b"author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\nx-unknown 1\nx-unknown 2\n\nm\n",
    b"author A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nnul \0 and \r\n carriage return",
    b"author A\0B <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\n",
    b"author A <a@b> 1 +0000\r\ncommitter A <a@b> 1 +0000\r\n\r\nDOS",
    b"\nno header at all",
    b"",
]


@pytest.mark.parametrize("rest", ODD)
def test_a_commit_gives_its_bytes_again(rest: bytes) -> None:
    commit = commit_from_git(rest, TREE, ())
    stored = decode_commit(encode_muse(commit))
    assert encode_commit(stored, GIT_TREE, []) == LINKS + rest


def test_a_plain_commit_carries_nothing_beside_its_fields() -> None:
    commit = commit_from_git(PLAIN, TREE, ())
    assert commit == Commit(
        TREE,
        (),
        Person("Ada", "ada@example.org", 1_700_000_000, 60),
        Person("Bob", "bob@example.org", 1_700_000_060, -210),
        "fix\n",
    )


@pytest.mark.parametrize(
    ("rest", "name", "message"),
    [
        (ODD[12], "A", "café\n"),
        (ODD[13], "Jörg", "ä\n"),
        (ODD[14], "J\ufffdrg", "not UTF-8 \ufffd\ufffd\n"),
        (ODD[15], "A", "\ufffd\n"),
    ],
)
def test_text_is_read_in_the_declared_encoding(rest: bytes, name: str, message: str) -> None:
    commit = commit_from_git(rest, TREE, ())
    assert (commit.author.name, commit.message) == (name, message)


def test_as_much_of_a_bad_author_line_is_read_as_there_is() -> None:
    commit = commit_from_git(ODD[9], TREE, ())
    assert commit.author == Person("A", "a@b", 1, 0)
    assert commit.committer == Person("", "a@b", 0, 0)
    assert commit_from_git(ODD[10], TREE, ()).committer == Person("nobody", "", 0, 0)


def test_a_hostile_author_line_costs_no_time() -> None:
    # Quadratic time would take hours.
    commit_from_git(b"author " + b"<" * 3_000_000 + b"\n\n", TREE, ())
    commit_from_git(b"author " + b" <" * 1_500_000 + b"\ncommitter\n\n", TREE, ())


def test_kept_bytes_that_say_something_else_than_the_commit_are_not_exported() -> None:
    honest = commit_from_git(SIGNED, TREE, ())
    forged = honest._replace(message="what muse shows\n")
    lost: Counter[str] = Counter()
    data = encode_commit(forged, GIT_TREE, [], lost)
    assert data.endswith(b"\n\nwhat muse shows\n")
    assert b"gpgsig" not in data
    assert list(lost) == ["bytes of Git that contradict their commit"]


def test_a_commit_of_muse_is_exported_without_what_git_has_no_place_for() -> None:
    lost: Counter[str] = Counter()
    commit = Commit(
        TREE,
        (),
        Person("A <script>\n", "a>b@c", -5, -60),
        Person("B", "b@c", 5, 60),
        "made by muse",
        Agent("helper"),
        {"reviewed": "yes"},
        Signature(bytes(32), bytes(64)),
    )
    data = encode_commit(commit, GIT_TREE, ["1" * 40], lost)
    assert data == (
        LINKS + b"parent " + b"1" * 40 + b"\n"
        b"author A script <ab@c> 0 -0100\ncommitter B <b@c> 5 +0100\n\nmade by muse"
    )
    assert lost == {"agents": 1, "extra fields": 1, "signatures of muse": 1}


TAGS = [
    b"tag v1\ntagger Ada <ada@example.org> 1700000000 +0100\n\nfirst\n",
    b"tag v1\n\nno tagger\n",
    b"tag v1\ntagger A <a@b> 1 -0000\n\nm",
    b"tag v1\ntagger A <a@b>\n\nm\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n-----END PGP SIGNATURE-----\n",
    b"tag caf\xe9\ntagger J\xf6rg <a@b> 1 +0000\n\n\xff",
    b"tag v1\nextra header\n\nm",
    b"",
]


@pytest.mark.parametrize("rest", TAGS)
def test_a_tag_gives_its_bytes_again(rest: bytes) -> None:
    tag = tag_from_git(rest, TREE, Kind.TREE)
    assert encode_tag(tag, GIT_TREE) == f"object {GIT_TREE}\ntype tree\n".encode() + rest


@pytest.mark.parametrize("data", [b"", b"tree zz\n", b"parent 12\n", b"author A <a@b> 1 +0000\n"])
def test_a_commit_without_a_tree_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidData) as caught:
        parse_commit_links(data)
    assert caught.value.code == "bad-git-data"


def test_a_tag_without_a_target_is_refused() -> None:
    with pytest.raises(InvalidData) as caught:
        parse_tag_links(b"type commit\nobject 12\n")
    assert caught.value.code == "bad-git-data"
