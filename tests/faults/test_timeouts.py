"""What ends by itself when it takes too long: statements of the database, addresses for uploads."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from tests.faults.play import check_copy
from tests.faults.stage import EMBEDDED, PACKS, SERVERS, OpenStage, Stage
from tests.faults.struck import CountedRetry
from tests.faulty_proxy import BEFORE, Fault
from tests.histories import commit_chain, make_repository

from muse.errors import MuseError
from muse.remote.address import RepositoryUrl
from muse.remote.client import HubClient
from muse.remote.push import Pushed, push
from muse.remote.retry import Retry
from muse.remote.selection import select_refs
from muse.store.repository import Repository

COMMITS, HUNG = 10_000, 7_000
STATEMENT_S = 2.0
_HANG = f"""
CREATE FUNCTION hang() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.generation = {HUNG} THEN PERFORM pg_sleep(60); END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER hang BEFORE INSERT ON commits FOR EACH ROW EXECUTE FUNCTION hang();
"""
_GO_ON = "DROP TRIGGER hang ON commits; DROP FUNCTION hang();"


@contextmanager
def restarted(stage: Stage, **settings: object) -> Iterator[None]:
    """The hub with other settings for a while."""
    stage.heal()
    stage.reset()
    stage.hub.kill()
    stage.hub.start(**settings)
    try:
        yield
    finally:
        stage.hub.kill()
        stage.hub.start()


def push_now(stage: Stage, repository: Repository, retry: Retry) -> Pushed:
    with HubClient(stage.address, stage.hub.token, retry=retry) as hub:
        return push(repository, "origin", select_refs(repository), hub)


def test_a_batch_of_commits_that_fails_leaves_the_earlier_ones_to_the_next_push(
    open_stage: OpenStage, tmp_path: Path
) -> None:
    """One statement hangs until the server ends it; no other one of 10,000 commits takes as long."""
    stage = open_stage(SERVERS)
    name = f"chain-{tmp_path.name}"
    url = RepositoryUrl(stage.address, stage.hub.user, name)
    full_name = f"{stage.hub.user}/{name}"
    with (
        restarted(stage, statement_timeout_s=STATEMENT_S),
        make_repository(tmp_path / "work", url) as repository,
    ):
        commits = commit_chain(repository, COMMITS)
        stage.behind.execute(_HANG)
        try:
            with pytest.raises(MuseError) as caught:
                push_now(stage, repository, Retry(1))
        finally:
            stage.behind.execute(_GO_ON)
        assert (caught.value.code, caught.value.retry) == ("database-unavailable", True)
        assert caught.value.hint
        recorded = stage.behind.count_commits(full_name)
        assert 0 < recorded < HUNG
        with HubClient(stage.address, stage.hub.token) as hub:
            assert hub.load_json("GET", f"{url.path}/refs")["refs"] == {}
        assert stage.behind.fsck(full_name) == []

        pushed = push_now(stage, repository, Retry(1))
        assert pushed.receipt.refs["heads/main"].target == commits[-1]
        assert COMMITS - recorded <= pushed.objects <= COMMITS - recorded + 2  # with the tree and its blob
        assert stage.behind.count_commits(full_name) == COMMITS


@pytest.mark.parametrize("kind", [SERVERS, EMBEDDED])
def test_an_upload_address_that_has_expired_by_age(open_stage: OpenStage, tmp_path: Path, kind: str) -> None:
    """The store refuses what comes too late; the client asks for another address."""
    stage = open_stage(kind)
    url = RepositoryUrl(stage.address, stage.hub.user, f"late-{tmp_path.name}")
    ttl_s = 2
    # Nothing but time makes an address old.
    late = Fault(
        "/store/" if kind == EMBEDDED else "/",
        2,
        method="PUT",
        moment=BEFORE,
        run=partial(time.sleep, ttl_s + 1.1),
    )
    with restarted(stage, presign_ttl_s=ttl_s):
        stage.copy_template(PACKS, tmp_path / "work", url)
        stage.ways["store"].faults.append(late)
        retry = CountedRetry()
        with Repository.open(tmp_path / "work") as repository:
            pushed = push_now(stage, repository, retry)
            assert pushed.receipt.refs["heads/main"].target == repository.refs.get("heads/main").target
        assert stage.ways["store"].happened == [late]
        assert retry.count >= 1
        check_copy(url, stage, tmp_path / "work", tmp_path / "copy")
    stage.reset()
