"""Branches and tags as links: the selector of every page, and the labels of commits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from typing import NamedTuple

from muse.objects.ids import Kind
from muse.wire.refnames import HEADS, TAGS
from musehub.db.ref_pages import COUNTED_MAX
from musehub.repos.browse import Browser
from musehub.web.views import Label, RepositoryView, rev_name, view_repository

MENU_MAX = 30
"""More branches or tags than this are found on their own page."""

LABELS_MAX = 10
"""More branches and tags than this at one commit are counted."""

ANNOTATED_MAX = 1_000
"""What annotated tags name stands in themselves: reading more would cost more than the page they label."""


async def load_view(browser: Browser) -> RepositoryView:
    """The frame of every page of a repository."""
    row = browser.repository
    return view_repository(row, await browser.refs.summarize(row.default_branch, MENU_MAX))


class RefMenu(NamedTuple):
    """The selector of branches and tags."""

    kind: str
    name: str
    branches: list[Label]
    tags: list[Label]
    branches_address: str
    tags_address: str
    branch_count: str
    tag_count: str

    @property
    def more_branches(self) -> bool:
        return len(self.branches) >= MENU_MAX

    @property
    def more_tags(self) -> bool:
        return len(self.tags) >= MENU_MAX


def tag_rev(tag: str, ambiguous: Container[str]) -> str:
    """How a tag is written in an address: with its prefix where a branch has the same name."""
    return TAGS + tag if tag in ambiguous else tag


def make_menu(repository: RepositoryView, page: str, rev: str, ref: str | None, path: str = "") -> RefMenu:
    """Links to the same page and path elsewhere; `ref` is the full name of the current branch or tag."""
    addresses = repository.addresses

    def address(other: str) -> str:
        if page == "commits":
            return addresses.commits(other)
        return addresses.blob(other, path) if page == "blob" else addresses.tree(other, path)

    refs = repository.refs
    branches = [Label("branch", name, address(name), ref == HEADS + name) for name in refs.branches]
    tags = [
        Label("tag", name, address(tag_rev(name, refs.ambiguous)), ref == TAGS + name) for name in refs.tags
    ]
    kind = "commit" if ref is None else "tag" if ref.startswith(TAGS) else "branch"
    return RefMenu(
        kind,
        rev_name(rev, ref),
        branches,
        tags,
        addresses.branches,
        addresses.tags,
        repository.branch_count,
        repository.tag_count,
    )


async def load_labels(
    browser: Browser, repository: RepositoryView, commit_ids: Sequence[bytes]
) -> dict[bytes, list[Label]]:
    """The branches and tags that stand at each of these commits; without annotated tags if very many."""
    branches: dict[bytes, list[str]] = {}
    tags: dict[bytes, list[str]] = {}
    branch_counts: Counter[bytes] = Counter()
    tag_counts: Counter[bytes] = Counter()
    for target, name, there in await browser.refs.list_at(commit_ids, LABELS_MAX):
        branch_counts[target], tag_counts[target] = there
        place = branches if name.startswith(HEADS) else tags
        place.setdefault(target, []).append(name.removeprefix(HEADS).removeprefix(TAGS))
    annotated = await browser.refs.list_annotated(ANNOTATED_MAX) if repository.refs.counts.tags else []
    for tag in annotated:
        if tag.kind is Kind.COMMIT:
            tag_counts[tag.target] += 1
            tags.setdefault(tag.target, []).append(tag.name)
    addresses = repository.addresses
    shown = [name for target in commit_ids for name in tags.get(target, ())]
    ambiguous = await browser.refs.find_ambiguous(shown) if shown else frozenset()
    labels = {}
    for target in commit_ids:
        here = [Label("branch", name, addresses.tree(name)) for name in branches.get(target, ())]
        here += [
            Label("tag", name, addresses.tree(tag_rev(name, ambiguous)))
            for name in sorted(tags.get(target, ()))
        ]
        left_out = branch_counts[target] + tag_counts[target] - LABELS_MAX
        if left_out > 0:
            # To the first list of which some are missing here.
            kind = "branch" if branch_counts[target] > LABELS_MAX else "tag"
            address = addresses.branches if kind == "branch" else addresses.tags
            is_counted = branch_counts[target] <= COUNTED_MAX and tag_counts[target] <= COUNTED_MAX
            text = f"and {left_out:,} more" if is_counted else "and many more"
            more = Label(kind, text, f"{address}?at={target.hex()}")
            here = [*here[:LABELS_MAX], more]
        labels[target] = here
    return labels
