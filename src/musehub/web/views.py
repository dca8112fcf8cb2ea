"""What templates show of repositories, commits, branches and tags: plain values, made from rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from muse.objects.commit import Agent, Commit
from muse.wire.refnames import HEADS, TAGS
from musehub.db.history import CommitRow
from musehub.db.ref_pages import COUNTED_MAX
from musehub.db.repositories import RepositoryRow
from musehub.repos.refs import NO_REFS, RefSummary
from musehub.web.addresses import RepositoryAddresses
from musehub.web.wording import to_datetime


class RepositoryView(NamedTuple):
    """The frame of every page of a repository."""

    owner: str
    name: str
    description: str
    visibility: str
    default_branch: str
    created_at: datetime
    pushed_at: datetime | None
    refs: RefSummary = NO_REFS

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    @property
    def addresses(self) -> RepositoryAddresses:
        return RepositoryAddresses(self.owner, self.name)

    @property
    def default_rev(self) -> str | None:
        """What is shown first: the default branch, another one if it does not exist, None in an empty one."""
        if self.refs.has_default or not self.refs.branches:
            return self.default_branch if self.refs.has_default else None
        return self.refs.branches[0]

    @property
    def branch_count(self) -> str:
        return _counted(self.refs.counts.branches)

    @property
    def tag_count(self) -> str:
        return _counted(self.refs.counts.tags)


def _counted(refs: int) -> str:
    return f"{refs:,}" if refs <= COUNTED_MAX else f"{COUNTED_MAX:,}+"


def view_repository(row: RepositoryRow, refs: RefSummary = NO_REFS) -> RepositoryView:
    return RepositoryView(
        row.owner,
        row.name,
        row.description,
        row.visibility,
        row.default_branch,
        row.created_at,
        row.pushed_at,
        refs,
    )


class Label(NamedTuple):
    """A branch or tag as a link; `kind` names its icon."""

    kind: str
    name: str
    address: str
    is_current: bool = False


def rev_name(rev: str, ref: str | None) -> str:
    """A revision for people: the name of the branch or tag, or the short form of an id."""
    if ref is None:
        return rev[:12]
    return ref.removeprefix(HEADS).removeprefix(TAGS)


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


def body_of(message: str) -> str:
    """What a commit message says below its first line."""
    return message.lstrip("\n").partition("\n")[2].strip("\n")
