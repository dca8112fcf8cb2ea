"""Differences between texts: applying what is shown to the old text gives the new one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from musehub.web.differences import TextDifference, compare_texts, decode_text

lines = st.lists(st.sampled_from(["a", "b", "c", "d", ""]), max_size=30)


def apply(old: list[str], difference: TextDifference) -> list[str]:
    result: list[str] = []
    position = 0
    for hunk in difference.hunks:
        first = next(line for line in hunk.lines)
        start = next((n.old_number - 1 for n in hunk.lines if n.old_number is not None), None)
        if start is None:  # only additions: the header says after which line
            start = int(hunk.header.split()[1].lstrip("-").split(",")[0])
        result += old[position:start]
        position = start
        assert first.new_number in (None, len(result) + 1)
        for line in hunk.lines:
            if line.mark != "+":
                assert old[position] == line.text
                position += 1
            if line.mark != "-":
                result.append(line.text)
                assert line.new_number == len(result)
    return result + old[position:]


@given(lines, lines)
def test_what_is_shown_turns_the_old_text_into_the_new(old: list[str], new: list[str]) -> None:
    difference = compare_texts("".join(f"{line}\n" for line in old), "".join(f"{line}\n" for line in new))
    assert apply(old, difference) == new
    shown = [line for hunk in difference.hunks for line in hunk.lines]
    assert difference.added == sum(line.mark == "+" for line in shown)
    assert difference.deleted == sum(line.mark == "-" for line in shown)


def test_texts_too_different_to_match_are_shown_as_replaced() -> None:
    old = "".join(f"old {number}\n" for number in range(4000))
    new = "".join(f"new {number}\n" for number in range(4000))
    difference = compare_texts(old, new)
    assert (difference.added, difference.deleted) == (4000, 4000)
    assert apply(old.splitlines(), difference) == new.splitlines()


def test_far_apart_changes_are_hunks_of_their_own_with_context() -> None:
    old = [str(number) for number in range(100)]
    new = [*old[:10], "x", *old[11:80], *old[81:]]
    difference = compare_texts("\n".join(old), "\n".join(new))
    assert [hunk.header for hunk in difference.hunks] == ["@@ -8,7 +8,7 @@", "@@ -78,7 +78,6 @@"]


def test_only_line_ends_differ() -> None:
    difference = compare_texts("a\nb\n", "a\r\nb\r\n")
    assert difference.hunks == []
    assert difference.ends_differ


def test_text_is_told_from_other_data() -> None:
    assert decode_text("ä\n".encode()) == "ä\n"
    assert decode_text(b"\xef\xbb\xbfx") == "x"
    assert decode_text("caf\xe9 au lait, s'il vous pla\xeet\n".encode("latin-1")) is not None
    assert decode_text(b"\x89PNG\0\0") is None
    assert decode_text(bytes(range(128, 256))) is None
