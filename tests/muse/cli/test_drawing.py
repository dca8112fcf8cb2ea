"""What is drawn on terminals: progress, graphs, dates, sizes."""

from __future__ import annotations

import io

import pytest

from muse.cli.dates import format_age, format_date, format_iso, parse_date
from muse.cli.graph import Lanes
from muse.cli.output import Output, clean, columns, counted, human_size
from muse.cli.progress import ProgressLine, human_duration
from muse.errors import UsageError
from muse.history.walk import Node

NOW_S = 1_714_557_600  # 2024-05-01T10:00:00Z


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_nothing_is_drawn_in_the_first_half_second() -> None:
    stream, clock = io.StringIO(), Clock()
    line = ProgressLine(stream, clock, 80)
    for _ in range(5):
        line("storing files", 1, 10, "files")
        clock.now += 0.09
    line.close()
    assert stream.getvalue() == ""


def test_a_line_is_redrawn_ten_times_a_second_and_removed_at_the_end() -> None:
    stream, clock = io.StringIO(), Clock()
    line = ProgressLine(stream, clock, 80)
    line("upload", 0, 2048, "bytes")
    clock.now += 1
    line("upload", 1024, 2048, "bytes")
    clock.now += 0.01
    line("upload", 1500, 2048, "bytes")
    line.close()
    line.close()
    bar = "█" * 12 + "░" * 12
    assert stream.getvalue() == f"\rupload {bar} 50 %  1.0 KiB of 2.0 KiB  1.0 KiB/s\x1b[K\r\x1b[K"


def test_after_a_few_seconds_it_says_how_long_it_will_take() -> None:
    stream, clock = io.StringIO(), Clock()
    line = ProgressLine(stream, clock, 80)
    line("upload", 0, 300, "files")
    clock.now += 2
    line("upload", 10, 300, "files")
    assert "left" not in stream.getvalue()
    clock.now += 2
    line("upload", 30, 300, "files")
    line.close()
    assert "30 of 300 files  36 s left\x1b[K" in stream.getvalue()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.2, "1 s"), (59.5, "1 min 0 s"), (200, "3 min 20 s"), (7500, "2 h 5 min")]
)
def test_a_time_to_wait_has_two_units(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


def test_what_is_sent_twice_does_not_exceed_the_whole() -> None:
    stream, clock = io.StringIO(), Clock()
    line = ProgressLine(stream, clock, 80)
    clock.now += 1
    line("upload", 3072, 2048, "bytes")
    assert "█ 100 %  2.0 KiB of 2.0 KiB" in stream.getvalue()


def test_a_phase_without_a_total_counts() -> None:
    stream, clock = io.StringIO(), Clock()
    line = ProgressLine(stream, clock, 20)
    clock.now += 1
    line("scanning folders that are many", 1234, None, "folders")
    assert stream.getvalue() == "\rscanning folders th\x1b[K"


def _node(name: str, parents: str) -> Node:
    return Node(name.encode(), tuple(parent.encode() for parent in parents), 0, 0, b"")


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([("b", "a"), ("a", "")], ["* b", "* a"]),
        ([("m", "ab"), ("b", "c"), ("a", "c"), ("c", "")], ["* m", "├─╮", "│ * b", "* │ a", "╰─┤", "  * c"]),
        (
            [("x", "a"), ("y", "a"), ("z", "a"), ("a", "")],
            ["* x", "│ * y", "├─╯", "│ * z", "├─╯", "* a"],
        ),
        (
            [("m", "abc"), ("a", "d"), ("b", "d"), ("c", "d"), ("d", "")],
            ["* m", "├─┬─╮", "* │ │ a", "│ * │ b", "├─╯ │", "│   * c", "├───╯", "* d"],
        ),
    ],
)
def test_graphs(history: list[tuple[str, str]], expected: list[str]) -> None:
    lanes = Lanes(Output(json=False, environment={}))
    drawn = [row for name, parents in history for row in lanes.draw(_node(name, parents), [name])]
    assert drawn == expected


@pytest.mark.parametrize(
    ("text", "seconds", "offset"),
    [
        ("1714557600 +0200", NOW_S, 120),
        ("@1714557600", NOW_S, 0),
        ("1714557600 -0130", NOW_S, -90),
        ("2024-05-01T12:00:00+02:00", NOW_S, 120),
        ("2024-05-01T10:00:00Z", NOW_S, 0),
        ("2024-05-01 10:00", NOW_S, 0),
        ("2024-05-01", NOW_S - 36000, 0),
        ("now", NOW_S, 0),
        ("yesterday", NOW_S - 36000 - 86400, 0),
        ("3 days ago", NOW_S - 3 * 86400, 0),
        ("1 week", NOW_S - 7 * 86400, 0),
        ("2.hours.ago", NOW_S - 7200, 0),
    ],
)
def test_dates_are_read(text: str, seconds: int, offset: int) -> None:
    assert parse_date(text, NOW_S) == (seconds, offset)


@pytest.mark.parametrize("text", ["", "soon", "32 foos ago", "2024-13-01", "1 2 3", "12"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_date(text, NOW_S)


def test_dates_are_written_with_the_offset_of_their_author() -> None:
    assert format_iso(NOW_S, 120) == "2024-05-01T12:00:00+02:00"
    assert format_date(NOW_S, -90) == "Wed 1 May 2024 08:30:00 -0130"
    assert format_iso(1 << 62, 0).startswith("@")
    assert format_iso(-1, 0) == "1969-12-31T23:59:59+00:00"
    assert [format_age(s) for s in (0, 61, 7200, 90000, -5)] == [
        "just now",
        "1 minute ago",
        "2 hours ago",
        "1 day ago",
        "in the future",
    ]


def test_words_for_numbers() -> None:
    assert [human_size(n) for n in (0, 1023, 1024, 1536, 5 << 20, 3 << 40)] == [
        "0 B",
        "1023 B",
        "1.0 KiB",
        "1.5 KiB",
        "5.0 MiB",
        "3.0 TiB",
    ]
    assert [counted(n, "branch", "branches") for n in (0, 1, 1234)] == [
        "0 branches",
        "1 branch",
        "1,234 branches",
    ]
    assert columns([["a", "bb"], ["ccc", "d"]]) == ["a    bb", "ccc  d"]
    assert clean("tab\tand\x1b[0m\x9b\u202eé") == "tab\tand\\x1b[0m\\x9b\\u202eé"
