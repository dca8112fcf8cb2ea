"""Reading columns says what decoding does, and never forgets an entry that the base has not."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muse.errors import MuseError
from muse.objects.columns import ColumnReader
from muse.objects.names import check_names, is_plain_column
from muse.objects.tree import (
    HEADER,
    TYPE_LINE,
    Entry,
    Page,
    decode_tree,
    encode_entries,
    encode_pages,
)

ENTRIES = st.builds(
    Entry,
    name=st.sampled_from([f"{letter}{number}" for letter in "ab." for number in range(12)]),
    kind=st.sampled_from("fxcklsd"),
    id=st.sampled_from([bytes([number]) * 32 for number in range(6)]),
    size_bytes=st.integers(0, 3),
    files=st.integers(1, 2),
)
TREES = st.lists(ENTRIES, unique_by=lambda entry: entry.name, max_size=16).map(sorted)


def rows(entries: list[Entry]) -> list[tuple[str, bytes, int, int]]:
    return [(entry.kind, entry.id, entry.size_bytes, entry.files) for entry in entries]


@given(TREES, TREES)
def test_what_is_not_fresh_stands_in_the_base(entries: list[Entry], base: list[Entry]) -> None:
    reader = ColumnReader()
    columns = reader.read(encode_entries(entries), encode_entries(base))
    assert (columns.level, columns.kinds.decode()) == (0, "".join(entry.kind for entry in entries))
    assert list(columns.ids) == [entry.id for entry in entries]
    assert list(columns.sizes) == [entry.size_bytes for entry in entries]
    assert list(columns.files) == [entry.files for entry in entries]
    ends = (entries[0].name, entries[-1].name) if entries else ("", "")
    assert columns.names == (len(entries), *ends)
    settled = [row for place, row in enumerate(rows(entries)) if place not in columns.fresh]
    assert set(settled) <= set(rows(base))


@given(TREES, st.data())
def test_one_changed_entry_is_the_only_fresh_one(entries: list[Entry], data: st.DataObject) -> None:
    if not entries:
        return
    entries = [entry._replace(id=bytes([number]) * 32) for number, entry in enumerate(entries)]
    place = data.draw(st.integers(0, len(entries) - 1))
    changed = entries[:]
    changed[place] = changed[place]._replace(id=b"new" + bytes(29), size_bytes=9, files=1)
    reader = ColumnReader()
    assert list(reader.read(encode_entries(changed), encode_entries(entries)).fresh) == [place]
    assert list(reader.read(encode_entries(entries), encode_entries(entries)).fresh) == []
    without = entries[:place] + entries[place + 1 :]
    back = reader.read(encode_entries(without), encode_entries(entries))
    assert not without or list(back.fresh) == []


def test_the_same_id_with_another_size_count_or_kind_is_fresh() -> None:
    entries = [Entry(f"n{number}", "f", bytes([number]) * 32, 5) for number in range(9)]
    base = encode_entries(entries)
    for other in (
        entries[4]._replace(size_bytes=6),
        entries[4]._replace(kind="d"),
        entries[4]._replace(kind="d", files=2),
    ):
        fresh = ColumnReader().read(encode_entries([*entries[:4], other, *entries[5:]]), base).fresh
        assert 4 in fresh
        longer = [*entries[:4], other, *entries[5:], Entry("z", "f", b"z" * 32, 1)]
        assert {4, 9} <= set(ColumnReader().read(encode_entries(longer), base).fresh)


def test_a_page_is_compared_with_nothing() -> None:
    page = Page("n", b"p" * 32, 5, 1, 1)
    index = encode_pages(1, [page])
    leaf = encode_entries([Entry("n", "f", b"p" * 32, 5)])
    assert list(ColumnReader().read(index, index).fresh) == [0]
    assert list(ColumnReader().read(leaf, index).fresh) == [0]


@pytest.mark.parametrize(
    "wrong",
    [
        TYPE_LINE,
        b"muse tree 2\n" + HEADER.pack(0, 0),
        TYPE_LINE + HEADER.pack(1, 0),
        TYPE_LINE + HEADER.pack(0, 1) + b"f",
        TYPE_LINE + HEADER.pack(0, 1) + b"q" + bytes(32) + struct.pack("<2Q", 1, 1) + b"a",
        TYPE_LINE + HEADER.pack(0, 1) + b"f" + bytes(32) + struct.pack("<2Q", 1, 1),
        TYPE_LINE + HEADER.pack(0, 1) + b"f" + bytes(32) + struct.pack("<2Q", 1, 1) + b"\xff",
        TYPE_LINE + HEADER.pack(0, 1) + b"f" + bytes(32) + struct.pack("<2Q", 1, 1) + b".GIT",
        TYPE_LINE + HEADER.pack(0, 2) + b"ff" + bytes(64) + struct.pack("<4Q", 1, 1, 1, 1) + b"a\0a",
        TYPE_LINE + HEADER.pack(0, 2) + b"ff" + bytes(64) + struct.pack("<4Q", 1, 1, 1, 1) + b"a",
        TYPE_LINE + HEADER.pack(2, 1) + b"f" + bytes(32) + struct.pack("<3Q", 1, 1, 1) + b"a",
    ],
)
def test_what_decoding_refuses_is_refused_whatever_was_read_before(wrong: bytes) -> None:
    reader = ColumnReader()
    reader.read(encode_entries([]))
    reader.read(encode_entries([Entry("a", "f", bytes(32), 1)]))
    with pytest.raises(MuseError) as told:
        decode_tree(wrong)
    with pytest.raises(MuseError) as caught:
        reader.read(wrong)
    assert caught.value.code == told.value.code


@given(st.lists(st.text(st.sampled_from("a.gitmuseGM/\0é"), max_size=6) | st.just("n" * 256), min_size=1))
def test_a_column_called_plain_holds_good_names_only(names: list[str]) -> None:
    if is_plain_column("\0".join(names).encode()):
        check_names("\0".join(names).split("\0"))
