"""What templates show of repositories, commits, branches and tags: plain values, made from rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import NamedTuple

from muse.objects.commit import Agent, Commit
from muse.wire.refnames import HEADS, TAGS
from musehub.db.history import CommitRow
from musehub.db.repositories import RepositoryRow
from musehub.repos.browse import Browser
from musehub.web.addresses import RepositoryAddresses
from musehub.web.wording import to_datetime

MENU_MAX = 30
"""More branches or tags than this are found on their own page."""

LABELS_MAX = 10
"""More branches and tags than this at one commit are counted."""

LABELLED_TAGS_MAX = 1_000
"""Reading more tags would cost more than the page they label."""


class RepositoryView(NamedTuple):
    """The frame of every page of a repository."""

    owner: str
    name: str
    description: str
    visibility: str
    default_branch: str
    created_at: datetime
    pushed_at: datetime | None
    branches: list[str]
    tags: list[str]

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def addresses(self) -> RepositoryAddresses:
        return RepositoryAddresses(self.owner, self.name)

    @property
    def default_rev(self) -> str | None:
        """What is shown first: the default branch, another one if it does not exist, None in an empty one."""
        if self.default_branch in self.branches or not self.branches:
            return self.default_branch if self.branches else None
        return self.branches[0]

    @property
    def branch_count(self) -> str:
        return f"{len(self.branches):,}"

    @property
    def tag_count(self) -> str:
        return f"{len(self.tags):,}"


def view_repository(row: RepositoryRow, refs: Iterable[str] = ()) -> RepositoryView:
    names = sorted(refs)
    return RepositoryView(
        row.owner,
        row.name,
        row.description,
        row.visibility,
        row.default_branch,
        row.created_at,
        row.pushed_at,
        [name.removeprefix(HEADS) for name in names if name.startswith(HEADS)],
        [name.removeprefix(TAGS) for name in names if name.startswith(TAGS)],
    )


class Label(NamedTuple):
    """A branch or tag as a link; `kind` names its icon."""

    kind: str
    name: str
    address: str
    is_current: bool = False


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


def tag_rev(repository: RepositoryView, tag: str) -> str:
    """How a tag is written in an address: with its prefix where a branch has the same name."""
    return TAGS + tag if tag in repository.branches else tag


def make_menu(repository: RepositoryView, page: str, rev: str, ref: str | None, path: str = "") -> RefMenu:
    """Links to the same page and path elsewhere; `ref` is the full name of the current branch or tag."""
    addresses = repository.addresses

    def address(other: str) -> str:
        if page == "commits":
            return addresses.commits(other)
        return addresses.blob(other, path) if page == "blob" else addresses.tree(other, path)

    branches = [
        Label("branch", name, address(name), ref == HEADS + name) for name in _first(repository.branches)
    ]
    tags = [
        Label("tag", name, address(tag_rev(repository, name)), ref == TAGS + name)
        for name in _first(repository.tags[::-1])
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


def rev_name(rev: str, ref: str | None) -> str:
    """A revision for people: the name of the branch or tag, or the short form of an id."""
    if ref is None:
        return rev[:12]
    return ref.removeprefix(HEADS).removeprefix(TAGS)


def _first(names: list[str]) -> list[str]:
    return names[:MENU_MAX]


class CommitView(NamedTuple):
    """A commit in a list, or at the head of its own page."""

    id: str
    address: str
    summary: str
    author_name: str
    author_email: str
    authored_at: datetime
    committer_name: str
    committer_email: str
    committed_at: datetime
    agent: Agent | None
    signer_key: bytes | None
    labels: list[Label] = []
    signer: str | None = None
    """The user of this hub who has the signing key, where that was asked."""

    @property
    def short_id(self) -> str:
        return self.id[:12]

    @property
    def is_signed(self) -> bool:
        return self.signer_key is not None

    @property
    def signature_title(self) -> str:
        if self.signer_key is None:
            return ""
        whose = f" of {self.signer}" if self.signer else ""
        return f"with the Ed25519 key {self.signer_key.hex()[:16]}…{whose}"

    @property
    def agent_title(self) -> str:
        if self.agent is None:
            return ""
        model = f", model {self.agent.model}" if self.agent.model else ""
        tool = f", with {self.agent.tool}" if self.agent.tool else ""
        return f"written by an agent{model}{tool}"

    @property
    def committer_differs(self) -> bool:
        return (self.author_name, self.author_email, self.authored_at) != (
            self.committer_name,
            self.committer_email,
            self.committed_at,
        )


def view_commit_row(
    row: CommitRow, addresses: RepositoryAddresses, labels: Mapping[bytes, list[Label]] | None = None
) -> CommitView:
    agent = None
    if row.author_kind == "agent":
        agent = Agent(row.agent_name or "", row.agent_model or "", row.agent_tool or "")
    return CommitView(
        row.id.hex(),
        addresses.commit(row.id.hex()),
        row.summary,
        row.author_name,
        row.author_email,
        row.authored_at,
        row.committer_name,
        row.committer_email,
        row.committed_at,
        agent,
        row.signer_key,
        (labels or {}).get(row.id, []),
    )


def view_commit(
    commit_id: bytes,
    commit: Commit,
    addresses: RepositoryAddresses,
    labels: Mapping[bytes, list[Label]],
    signer: str | None,
) -> CommitView:
    """The commit itself says more than its row: the whole message, and times in their own offsets."""
    author, committer = commit.author, commit.committer
    return CommitView(
        commit_id.hex(),
        addresses.commit(commit_id.hex()),
        commit.summary,
        author.name,
        author.email,
        to_datetime(author.time_s, author.offset_min),
        committer.name,
        committer.email,
        to_datetime(committer.time_s, committer.offset_min),
        commit.agent,
        commit.signature.key if commit.signature is not None else None,
        labels.get(commit_id, []),
        signer,
    )


async def load_labels(browser: Browser, repository: RepositoryView) -> dict[bytes, list[Label]]:
    """The branches and tags that stand at each commit; without tags where there are very many."""
    labels: dict[bytes, list[Label]] = {}
    for name in repository.branches:
        label = Label("branch", name, repository.addresses.tree(name))
        labels.setdefault(browser.refs[HEADS + name].target, []).append(label)
    tags = await browser.load_tags() if len(repository.tags) <= LABELLED_TAGS_MAX else []
    for tag in tags:
        label = Label("tag", tag.name, repository.addresses.tree(tag_rev(repository, tag.name)))
        labels.setdefault(tag.target, []).append(label)
    return {target: _first_labels(some, repository) for target, some in labels.items()}


def _first_labels(labels: list[Label], repository: RepositoryView) -> list[Label]:
    left_out = len(labels) - LABELS_MAX
    if left_out <= 0:
        return labels
    more = Label(labels[-1].kind, f"and {left_out:,} more", repository.addresses.branches)
    return [*labels[:LABELS_MAX], more]


def body_of(message: str) -> str:
    """What a commit message says below its first line."""
    return message.lstrip("\n").partition("\n")[2].strip("\n")
