"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

_AGES = (
    (365 * 86_400, "year"),
    (30 * 86_400, "month"),
    (7 * 86_400, "week"),
    (86_400, "day"),
    (3_600, "hour"),
    (60, "minute"),
)


def format_size(size_bytes: int) -> str:
    """`512 B`, `1.4 MiB`."""
    size = float(size_bytes)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size_bytes} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"


def format_count(number: int, noun: str) -> str:
    """`1 file`, `12,345 files`."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def format_age(instant: datetime, now: datetime) -> str:
    """`3 days ago`; what lies ahead by more than a clock may be wrong is said to."""
    seconds = (now - instant).total_seconds()
    if seconds < -120:
        return f"in {_span(-seconds)}"
    return f"{_span(seconds)} ago" if seconds >= 60 else "just now"


def _span(seconds: float) -> str:
    for length, noun in _AGES:
        if seconds >= length:
            return format_count(int(seconds // length), noun)
    return format_count(int(seconds), "second")


def format_instant(instant: datetime) -> str:
    """`31 January 2025, 14:05:09 +01:00`, in the offset that the datetime has."""
    offset = "UTC" if not instant.utcoffset() else instant.strftime("%z")
    if offset != "UTC":
        offset = f"{offset[:3]}:{offset[3:5]}"
    return f"{instant.day} {instant:%B %Y, %H:%M:%S} {offset}"


def machine_instant(instant: datetime) -> str:
    """The value of a `datetime` attribute."""
    return instant.isoformat(timespec="seconds")


def to_datetime(time_s: int, offset_min: int) -> datetime:
    """The time of a commit in the offset of whoever made it.

    A history may hold any number; what a calendar cannot express becomes the nearest end of it.
    """
    try:
        return datetime.fromtimestamp(time_s, timezone(timedelta(minutes=offset_min)))
    except (OverflowError, ValueError, OSError):
        return datetime(9999, 12, 31, tzinfo=UTC) if time_s > 0 else datetime(1, 1, 1, tzinfo=UTC)


def format_duration(seconds: float) -> str:
    """`0.4 ms`, `37 ms`, `1.24 s`, `2 min 05 s`; what is too short to say is `< 0.1 ms`."""
    if seconds < 0.00005:
        return "< 0.1 ms" if seconds > 0 else "0 s"
    if seconds < 0.01:
        return f"{seconds * 1000:.1f} ms"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


def format_share(part: float, whole: float) -> str:
    """`12 %`, `0.4 %`."""
    if whole <= 0:
        return "–"
    percent = 100 * part / whole
    return f"{percent:.1f} %" if percent < 9.95 else f"{percent:.0f} %"
