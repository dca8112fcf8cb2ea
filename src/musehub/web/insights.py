"""The page of what jobs found out about a repository: languages, people, what changes, what it takes up."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from litestar import Response, get

from musehub.db.insights import Insight
from musehub.jobs.reading import load_insights
from musehub.web.given import GivenDatabase, GivenRepository, GivenVisit
from musehub.web.page import page_response
from musehub.web.views import RepositoryView
from musehub.web.wording import format_count, format_size

SHOWN = 15
_WIDTH = 1000


class Bar(NamedTuple):
    """One line of a list with a bar of up to 1000 units; `address` None for what is no file."""

    name: str
    address: str | None
    note: str
    width: int
    mark: str = ""


class _Line(NamedTuple):
    """What becomes a bar: `size` says how long, compared with the other lines of its section."""

    name: str
    size: int
    note: str
    address: str | None = None
    mark: str = ""


class Section(NamedTuple):
    title: str
    about: str
    bars: list[Bar]


@get("/{owner:str}/{name:str}/insights")
async def show_insights(
    visit: GivenVisit, database: GivenDatabase, repository: GivenRepository
) -> Response[bytes]:
    """What the jobs of the last push found."""
    found = await load_insights(database, visit.actor, repository.owner, repository.name)
    context = {
        "repository": repository,
        "tab": "insights",
        "sections": [section for section in view_sections(repository, found) if section.bars],
        "facts": view_facts({kind: insight.value for kind, insight in found.items()}),
        "computed_at": _latest(found.values()),
    }
    return await page_response(visit, "insights.html", context)


def view_sections(repository: RepositoryView, found: Mapping[str, Insight]) -> list[Section]:
    """What has a bar per line; a section without lines was not computed yet or has nothing to say."""
    values = {kind: insight.value for kind, insight in found.items()}

    def lines(kind: str, key: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = values.get(kind, {}).get(key, [])
        return listed[:SHOWN]

    def address(path: str) -> str | None:
        rev = repository.default_rev
        return repository.addresses.blob(rev, path) if rev is not None else None

    languages = [
        _Line(item["name"], item["bytes"], f"{format_size(item['bytes'])} in {_files(item['files'])}")
        for item in lines("languages", "languages")
    ]
    people = [
        _Line(
            item["agent"] or item["name"],
            item["commits"],
            _commits(item["commits"]),
            mark="agent" if item["kind"] == "agent" else "",
        )
        for item in lines("contributors", "contributors")
    ]
    churn = [
        _Line(
            item["path"],
            item["lines_added"] + item["lines_removed"],
            f"+{item['lines_added']:,} −{item['lines_removed']:,}, {_commits(item['changes'])}",
            address(item["path"]),
        )
        for item in lines("churn", "paths")
    ]
    hotspots = [
        _Line(
            item["path"],
            item["changes"] * item["bytes"],
            f"{_commits(item['changes'])}, {format_size(item['bytes'])}",
            address(item["path"]),
        )
        for item in lines("hotspots", "files")
    ]
    coupling = [
        _Line(" · ".join(item["paths"]), item["together"], f"{item['together']:,} together")
        for item in lines("coupling", "pairs")
    ]
    largest = [
        _Line(item["path"], item["bytes"], format_size(item["bytes"]), address(item["path"]))
        for item in lines("largest", "files")
    ]
    return [
        Section("Languages", "of the default branch, by bytes", _bars(languages)),
        Section("Contributors", "by commits", _bars(people)),
        Section("Churn", "lines added and removed in 30 days", _bars(churn)),
        Section("Hotspots", "large files that changed often in a year", _bars(hotspots)),
        Section("Coupling", "files that changed in the same commits", _bars(coupling)),
        Section("Largest files", "of the default branch", _bars(largest)),
    ]


def view_facts(values: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """Sizes and the state of what is stored."""
    facts = []
    if values.get("largest", {}).get("too_large"):
        facts.append(("Files", "too many directories to look at all"))
    if storage := values.get("storage"):
        facts.append(("Stored", format_size(storage["stored_bytes"])))
        facts.append(("Objects", f"{storage['objects']:,}"))
        facts.append(("Packs", f"{storage['packs']:,}"))
    if dedupe := values.get("dedupe"):
        facts.append(("Raw", f"{format_size(dedupe['raw_bytes'])}, {dedupe['ratio']}× what is stored"))
    if scrub := values.get("scrub"):
        state = "no problem found" if not scrub["problems"] else f"{scrub['problems']:,} damaged"
        facts.append(("Verified", f"{format_size(scrub['bytes'])} read back, {state}"))
    return facts


def _bars(lines: Sequence[_Line]) -> list[Bar]:
    """The longest bar is that of the largest line, and none is too short to be seen."""
    most = max((line.size for line in lines), default=0) or 1
    return [
        Bar(line.name, line.address, line.note, max(4, round(_WIDTH * line.size / most)), line.mark)
        for line in lines
    ]


def _files(count: int) -> str:
    return format_count(count, "file")


def _commits(count: int) -> str:
    return format_count(count, "commit")


def _latest(insights: Iterable[Insight]) -> datetime | None:
    return max((insight.computed_at for insight in insights), default=None)
