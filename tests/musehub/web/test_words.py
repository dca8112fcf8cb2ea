"""Sizes, times, addresses, highlighted lines and timelines as pages show them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from musehub.web.addresses import RepositoryAddresses
from musehub.web.highlight import highlight_lines
from musehub.web.waterfall import WIDTH, draw_waterfall
from musehub.web.wording import format_age, format_duration, format_instant, format_size, to_datetime

NOW = datetime(2026, 5, 17, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ago", "text"),
    [
        (timedelta(seconds=3), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(hours=5), "5 hours ago"),
        (timedelta(days=1, hours=3), "1 day ago"),
        (timedelta(days=20), "2 weeks ago"),
        (timedelta(days=800), "2 years ago"),
        (timedelta(minutes=-1), "just now"),
        (timedelta(hours=-2), "in 2 hours"),
    ],
)
def test_ages(ago: timedelta, text: str) -> None:
    assert format_age(NOW - ago, NOW) == text


def test_the_time_of_a_commit_keeps_its_offset() -> None:
    assert format_instant(to_datetime(0, 60)) == "1 January 1970, 01:00:00 +01:00"
    assert format_instant(to_datetime(0, 0)) == "1 January 1970, 00:00:00 UTC"


@pytest.mark.parametrize(("time_s", "offset_min"), [(1 << 60, 0), (-(1 << 60), 0), (0, 100_000)])
def test_a_time_no_calendar_has_does_not_break_a_page(time_s: int, offset_min: int) -> None:
    assert format_instant(to_datetime(time_s, offset_min))


def test_sizes_and_durations() -> None:
    assert [format_size(size) for size in (0, 1023, 1536, 5 << 20)] == ["0 B", "1023 B", "1.5 KiB", "5.0 MiB"]
    assert [format_duration(s) for s in (0.0004, 0.037, 0.9999, 59.999, 125)] == [
        *("0.4 ms", "37 ms", "1.00 s", "60.00 s", "2 min 05 s"),
    ]


def test_addresses_escape_names_but_not_the_slashes_between_them() -> None:
    addresses = RepositoryAddresses("ada", "engine")
    assert addresses.tree("feature/ä", "a b/c#d?%") == "/ada/engine/tree/feature/%C3%A4/a%20b/c%23d%3F%25"


def test_every_line_of_a_file_has_one_line_of_html() -> None:
    text = '"""several\r\nlines"""\n\nx = "<b>"\rlone\n'
    for name in ("a.py", "a.unknown"):
        html = highlight_lines(text, name)
        assert len(html) == 4
        assert "<b>" not in html[3]
        assert all(line.count("<span") == line.count("</span") for line in html)


def test_the_language_of_a_script_is_in_its_first_line() -> None:
    lines = highlight_lines("#!/usr/bin/env python3\nimport os\n", "run")
    assert '<span class="kn">import</span>' in lines[1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.cpp", 'R"(' * 90_000),
        ("a.cpp", ('R"(' * 100 + "\n") * 900),
        ("A.java", "a " * 9_000),
        ("A.java", ("public " * 280 + "\n") * 150),
    ],
)
def test_what_a_lexer_is_too_slow_for_is_plain_and_escaped(name: str, text: str) -> None:
    lines = highlight_lines(text + "<b>", name)
    assert "<span" not in "".join(lines)
    assert lines[-1].endswith("&lt;b&gt;")


def test_the_bars_of_a_timeline_follow_each_other_and_end_where_the_whole_does() -> None:
    phases = [
        {"name": "other", "s": 0.1, "count": 4},
        {"name": "record", "s": 0.3, "count": 2},
        {"name": "finalise", "s": 0.6, "count": 1},
    ]
    fall = draw_waterfall(phases, 1.0)
    assert [bar.name for bar in fall.bars] == ["record", "finalise", "other"]
    assert [bar.start_s for bar in fall.bars] == pytest.approx([0.0, 0.3, 0.9])
    assert fall.bars[-1].x + fall.bars[-1].width == pytest.approx(WIDTH)
    assert fall.is_complete


def test_a_timeline_with_a_gap_says_so() -> None:
    fall = draw_waterfall([{"name": "record", "s": 0.5, "count": 1}], 1.0)
    assert not fall.is_complete
    assert "500 ms" in fall.gap_text
    assert "50 %" in fall.gap_text


def test_a_push_without_phases_can_be_drawn() -> None:
    assert draw_waterfall([], 0.0).is_complete
