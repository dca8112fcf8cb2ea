"""Times as people and machines write them; no time zone database, only offsets."""

from __future__ import annotations

import time

from muse.errors import UsageError

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_UNITS = {
    "second": 1,
    "minute": 60,
    "hour": 3600,
    "day": 86400,
    "week": 7 * 86400,
    "month": 30 * 86400,
    "year": 365 * 86400,
}


def format_offset(offset_min: int, colon: str = ":") -> str:
    sign = "-" if offset_min < 0 else "+"
    hours, minutes = divmod(abs(offset_min), 60)
    return f"{sign}{hours:02d}{colon}{minutes:02d}"


def _find_calendar_time(time_s: int, offset_min: int) -> time.struct_time | None:
    """Return what the clock showed where it was written; None for a time that no calendar holds."""
    try:
        return time.gmtime(time_s + 60 * offset_min)
    except (OverflowError, OSError, ValueError):
        return None


def format_iso(time_s: int, offset_min: int) -> str:
    """Write `2024-05-01T12:00:00+02:00`; a time that no calendar holds becomes `@<seconds>`."""
    t = _find_calendar_time(time_s, offset_min)
    if t is None:
        return f"@{time_s}{format_offset(offset_min)}"
    return (
        f"{t.tm_year:04d}-{t.tm_mon:02d}-{t.tm_mday:02d}T{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d}"
        + format_offset(offset_min)
    )


def format_date(time_s: int, offset_min: int) -> str:
    """Write `Wed 1 May 2024 12:00:00 +0200`, for people."""
    t = _find_calendar_time(time_s, offset_min)
    if t is None:
        return f"@{time_s} {format_offset(offset_min, '')}"
    return (
        f"{_DAYS[t.tm_wday]} {t.tm_mday} {_MONTHS[t.tm_mon - 1]} {t.tm_year} "
        f"{t.tm_hour:02d}:{t.tm_min:02d}:{t.tm_sec:02d} {format_offset(offset_min, '')}"
    )


def format_age(seconds: float) -> str:
    """Write `3 hours ago`, in the largest unit that fits."""
    if seconds < 0:
        return "in the future"
    for unit in ("year", "month", "week", "day", "hour", "minute", "second"):
        number = int(seconds // _UNITS[unit])
        if number:
            return f"{number} {unit}{'' if number == 1 else 's'} ago"
    return "just now"


def local_offset_min(time_s: float) -> int:
    """Minutes east of UTC of this machine's clock at that time."""
    return (time.localtime(time_s).tm_gmtoff or 0) // 60


def parse_date(text: str, now_s: float) -> tuple[int, int]:
    """Parse a date into seconds since 1970 and an offset in minutes; raises `bad-arguments`.

    Understood are `1714557600 +0200`, `@1714557600`, ISO 8601 (without an offset: local time), `now`,
    `yesterday`, `3 days ago`, `2 weeks`.
    """
    words = text.strip().lower().replace(".", " ").split() if "T" not in text else []
    if (
        words
        and words[0].lstrip("@-").isdigit()
        and len(words[0].lstrip("@-")) >= (5 if len(words) == 1 else 1)
    ):
        seconds = int(words[0].lstrip("@"))
        if len(words) == 1:
            return seconds, local_offset_min(seconds)
        if len(words) == 2 and len(words[1]) == 5 and words[1][0] in "+-" and words[1][1:].isdigit():
            minutes = int(words[1][1:3]) * 60 + int(words[1][3:5])
            return seconds, -minutes if words[1][0] == "-" else minutes
    if words == ["now"]:
        return int(now_s), local_offset_min(now_s)
    if words in (["yesterday"], ["today"]):
        seconds = int(now_s) - (86400 if words == ["yesterday"] else 0)
        offset = local_offset_min(seconds)
        return seconds - (seconds + 60 * offset) % 86400, offset
    if len(words) in (2, 3) and words[0].isdigit() and (len(words) == 2 or words[2] == "ago"):
        unit = _UNITS.get(words[1].removesuffix("s"))
        if unit is not None:
            seconds = int(now_s) - int(words[0]) * unit
            return seconds, local_offset_min(seconds)
    from datetime import datetime

    try:
        moment = datetime.fromisoformat(text.strip())
        if moment.tzinfo is None:
            moment = moment.astimezone()
        east = moment.utcoffset()
        return int(moment.timestamp()), int(east.total_seconds()) // 60 if east else 0
    except (ValueError, OverflowError, OSError):
        raise UsageError(
            "bad-arguments",
            f'"{text}" is not a date',
            hint='write 2024-05-01T12:00:00+02:00, 2024-05-01, "3 days ago" or seconds since 1970',
        ) from None
