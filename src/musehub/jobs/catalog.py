"""All kinds of jobs, in the order in which those of one repository run."""

from __future__ import annotations

from musehub.jobs.kinds import (
    churn,
    collect,
    contributors,
    coupling,
    dedupe,
    deliver,
    feed,
    hotspots,
    languages,
    largest,
    notify,
    scrub,
    storage,
)
from musehub.jobs.work import Kind

ANALYSES: tuple[Kind, ...] = (
    Kind(feed.NAME, feed.run, "notes the push in the activity feed", once=False, prompt=True),
    Kind(
        notify.NAME,
        notify.run,
        "writes a delivery for each webhook that wants the push",
        once=False,
        prompt=True,
    ),
    Kind(languages.NAME, languages.run, "bytes and files per language of the default branch"),
    Kind(largest.NAME, largest.run, "the largest files of the default branch"),
    Kind(contributors.NAME, contributors.run, "commits of each person and agent, the first and the last"),
    Kind(churn.NAME, churn.run, "changes and lines of the last 30 days, in all and by path"),
    Kind(hotspots.NAME, hotspots.run, "files by changes in a year times size"),
    Kind(coupling.NAME, coupling.run, "files that change in the same commits"),
    Kind(storage.NAME, storage.run, "packs, objects and bytes that the repository takes up"),
    Kind(dedupe.NAME, dedupe.run, "bytes of all objects against bytes stored"),
    Kind(scrub.NAME, scrub.run, "reads some packs back and hashes every object in them"),
)
"""Run one after the other in one slot."""

DELIVERIES: tuple[Kind, ...] = (
    Kind(
        deliver.NAME,
        deliver.run,
        "sends one event to one webhook",
        once=False,
        after_push=False,
        give_up=deliver.give_up,
    ),
)
"""Run in slots of their own: a receiver that does not answer holds up nothing else."""

UPKEEP: tuple[Kind, ...] = (
    Kind(
        collect.NAME,
        collect.run,
        "removes what no branch reaches, in all repositories, every `gc_every_hours`",
        after_push=False,
        of_hub=True,
    ),
)
"""Of the whole hub; run in the slots of deliveries, so that no analysis waits for them."""

KINDS: dict[str, Kind] = {kind.name: kind for kind in (*ANALYSES, *DELIVERIES, *UPKEEP)}
AFTER_PUSH: tuple[str, ...] = tuple(name for name, kind in KINDS.items() if kind.after_push)
REFRESHED: tuple[str, ...] = (churn.NAME, hotspots.NAME, coupling.NAME, scrub.NAME)
"""Of these time alone changes the result; they run once a day for repositories that nobody pushes to."""


def kinds_table() -> str:
    """The table of docs/jobs.md."""
    lines = [
        "| kind | after each push | when it is quiet | one run for all that wait | what it does |",
        "|---|---|---|---|---|",
    ]
    for kind in KINDS.values():
        flags = (kind.after_push, kind.after_push and not kind.prompt, kind.once)
        after, quiet, once = ("yes" if flag else "" for flag in flags)
        lines.append(f"| `{kind.name}` | {after} | {quiet} | {once} | {kind.purpose} |")
    return "\n".join(lines) + "\n"
