from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.histories import commit_files, make_repository, tag_commit

from muse.errors import MuseError
from muse.objects.ids import Kind
from muse.remote.selection import Wish, select_refs
from muse.store.repository import Repository
from muse.wire.refs import Ref


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[Repository]:
    """Branches main and side, an annotated tag v1 of side."""
    with make_repository(tmp_path / "work") as made:
        commit_files(made, {"a": b"1"})
        side = commit_files(made, {"a": b"2"}, branch="side")
        tag_commit(made, "v1", side)
        yield made


def ref(repository: Repository, name: str) -> Ref:
    found = repository.refs.get(name)
    return Ref(found.target, found.kind)


@pytest.mark.parametrize(
    ("spec", "name", "source", "force"),
    [
        ("main", "heads/main", "heads/main", False),
        ("heads/side", "heads/side", "heads/side", False),
        ("refs/heads/side", "heads/side", "heads/side", False),
        ("+side", "heads/side", "heads/side", True),
        ("@", "heads/main", "heads/main", False),
        ("v1", "tags/v1", "tags/v1", False),
        ("side:main", "heads/main", "heads/side", False),
        ("+side:heads/new/x", "heads/new/x", "heads/side", True),
        ("v1:v2", "tags/v2", "tags/v1", False),
        ("side:tags/light", "tags/light", "heads/side", False),
    ],
)
def test_specs(repository: Repository, spec: str, name: str, source: str, force: bool) -> None:
    assert select_refs(repository, [spec]) == [Wish(name, ref(repository, source), force)]


def test_a_branch_made_of_a_tag_or_a_revision_points_at_the_commit(repository: Repository) -> None:
    side = ref(repository, "heads/side")
    assert select_refs(repository, ["v1:heads/released"]) == [Wish("heads/released", side)]
    assert select_refs(repository, ["v1~0:heads/released"]) == [Wish("heads/released", side)]


def test_without_specs_the_current_branch(repository: Repository) -> None:
    assert select_refs(repository) == [Wish("heads/main", ref(repository, "heads/main"))]
    assert select_refs(repository, force=True)[0].force


def test_all_branches_and_all_tags(repository: Repository) -> None:
    names = [wish.name for wish in select_refs(repository, all_branches=True, tags=True)]
    assert names == ["heads/main", "heads/side", "tags/v1"]
    assert select_refs(repository, tags=True)[0].target.kind is Kind.TAG


def test_deletions(repository: Repository) -> None:
    assert select_refs(repository, [":side", ":tags/v1"]) == [Wish("heads/side", None), Wish("tags/v1", None)]
    assert select_refs(repository, ["gone", "tags/v9"], delete=True) == [
        Wish("heads/gone", None),
        Wish("tags/v9", None),
    ]


@pytest.mark.parametrize(
    ("specs", "options", "code"),
    [
        (["none"], {}, "unknown-branch"),
        (["none:main"], {}, "unknown-revision"),
        (["main:"], {}, "bad-arguments"),
        (["main:with space"], {}, "bad-name"),
        (["main", "side:main"], {}, "bad-arguments"),
        ([], {"delete": True}, "bad-arguments"),
    ],
)
def test_what_cannot_be_pushed(
    repository: Repository, specs: list[str], options: dict[str, bool], code: str
) -> None:
    with pytest.raises(MuseError) as caught:
        select_refs(repository, specs, **options)
    assert caught.value.code == code


def test_a_detached_head_and_an_empty_branch_need_a_name(repository: Repository) -> None:
    with repository.transaction() as transaction:
        transaction.set_head("heads/unborn")
    with pytest.raises(MuseError) as caught:
        select_refs(repository)
    assert caught.value.code == "unknown-branch"
    with repository.transaction() as transaction:
        transaction.set_head(ref(repository, "heads/side").target)
    with pytest.raises(MuseError) as caught:
        select_refs(repository)
    assert caught.value.code == "bad-arguments"
