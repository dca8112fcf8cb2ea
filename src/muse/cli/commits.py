"""How commits and tags are shown, to people and as JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from muse.cli.dates import format_date, format_iso
from muse.cli.output import clean
from muse.errors import InvalidData
from muse.objects.commit import Agent, Commit, Person, Tag
from muse.objects.ids import format_id, short_id

if TYPE_CHECKING:
    from muse.cli.output import Output
    from muse.store.repository import Repository

PERSON_JSON = '{"name": "Ada", "email": "ada@example.org", "time": "2024-05-01T12:00:00+02:00"}'
COMMIT_JSON = f"""{{"id": "sha256:…", "tree": "sha256:…", "parents": ["sha256:…"],
 "author": {PERSON_JSON},
 "committer": {{…like author}}, "message": "add the bridge\\n", "summary": "add the bridge",
 "agent": null or {{"name": "composer", "model": "m-1", "tool": "studio"}},
 "signature": null or {{"key": "<64 hex>", "state": "good" or "bad"}},
 "extra": {{}}, "refs": ["heads/main"]}}"""


def person_json(person: Person) -> dict[str, Any]:
    return {
        "name": person.name,
        "email": person.email,
        "time": format_iso(person.time_s, person.offset_min),
    }


def signature_state(value: Commit | Tag) -> str | None:
    """Return `good`, `bad`, or None for what is not signed; imports the cryptography only for what is."""
    if value.signature is None:
        return None
    from muse.objects.signature import check_signature

    try:
        check_signature(value)
    except InvalidData:
        return "bad"
    return "good"


def _signature_json(value: Commit | Tag) -> dict[str, Any] | None:
    if value.signature is None:
        return None
    return {"key": value.signature.key.hex(), "state": signature_state(value)}


def commit_json(commit_id: bytes, commit: Commit, refs: list[str]) -> dict[str, Any]:
    return {
        "id": format_id(commit_id),
        "tree": format_id(commit.tree),
        "parents": [format_id(parent) for parent in commit.parents],
        "author": person_json(commit.author),
        "committer": person_json(commit.committer),
        "message": commit.message,
        "summary": commit.summary,
        "agent": commit.agent._asdict() if commit.agent is not None else None,
        "signature": _signature_json(commit),
        "extra": dict(commit.extra),
        "refs": refs,
    }


def tag_json(tag_id: bytes, tag: Tag) -> dict[str, Any]:
    return {
        "id": format_id(tag_id),
        "target": format_id(tag.target),
        "target_kind": tag.target_kind.word,
        "name": tag.name,
        "tagger": person_json(tag.tagger) if tag.tagger is not None else None,
        "message": tag.message,
        "signature": _signature_json(tag),
        "extra": dict(tag.extra),
    }


def agent_text(agent: Agent) -> str:
    """Write `composer (m-1, studio)`."""
    more = ", ".join(part for part in (agent.model, agent.tool) if part)
    return f"{agent.name} ({more})" if more else agent.name


def decoration(names: list[str], current: str | None, output: Output) -> str:
    """Write the refs of a commit: ` (main, tag v1, origin/main)`, the current branch starred."""
    if not names:
        return ""
    parts = []
    for name in names:
        space, _, rest = name.partition("/")
        is_current, rest = rest == current, clean(rest)
        if space == "heads":
            text = output.style(f"*{rest}" if is_current else rest, "bold", "green")
        elif space == "tags":
            text = output.style(f"tag {rest}", "bold", "yellow")
        else:
            text = output.style(rest.replace("/heads/", "/", 1).replace("/tags/", "/tag ", 1), "bold", "red")
        parts.append(text)
    return f" ({', '.join(parts)})"


def refs_by_target(repository: Repository) -> dict[bytes, list[str]]:
    """Return the names of all branches, tags and remote branches by the commit they lead to."""
    found: dict[bytes, list[str]] = {}
    for ref in repository.refs.iter():
        if ref.commit is not None:
            found.setdefault(ref.commit, []).append(ref.name)
    return found


def commit_lines(
    commit_id: bytes, commit: Commit, names: list[str], current: str | None, output: Output
) -> list[str]:
    """Write the head and message of a commit, for `log` and `show`."""
    lines = [output.style(f"commit {commit_id.hex()}", "yellow") + decoration(names, current, output)]
    if len(commit.parents) > 1:
        lines.append("merge:     " + " ".join(short_id(parent) for parent in commit.parents))
    author, committer = commit.author, commit.committer
    lines.append(f"author:    {clean(author.name)} <{clean(author.email)}>")
    if (committer.name, committer.email) != (author.name, author.email):
        lines.append(f"committer: {clean(committer.name)} <{clean(committer.email)}>")
    if commit.agent is not None:
        lines.append(f"agent:     {output.style(clean(agent_text(commit.agent)), 'cyan')}")
    lines.append(f"date:      {format_date(author.time_s, author.offset_min)}")
    lines.extend(_signature_lines(commit, output))
    return [*lines, "", *_message_lines(commit.message)]


def _signature_lines(value: Commit | Tag, output: Output) -> list[str]:
    if value.signature is None:
        return []
    state = signature_state(value)
    shown = output.style("good", "green") if state == "good" else output.style("BAD", "bold", "red")
    return [f"signature: {shown}, key {value.signature.key.hex()[:16]}"]


def _message_lines(message: str) -> list[str]:
    return ["    " + clean(line) if line else "" for line in message.rstrip("\n").split("\n")]


def tag_lines(tag: Tag, output: Output) -> list[str]:
    """Write the head and message of an annotated tag."""
    lines = [output.style(f"tag {clean(tag.name)}", "yellow")]
    if tag.tagger is not None:
        lines.append(f"tagger:    {clean(tag.tagger.name)} <{clean(tag.tagger.email)}>")
        lines.append(f"date:      {format_date(tag.tagger.time_s, tag.tagger.offset_min)}")
    lines.extend(_signature_lines(tag, output))
    return [*lines, "", *_message_lines(tag.message)]
