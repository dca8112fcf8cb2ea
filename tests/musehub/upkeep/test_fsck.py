"""The check finds every kind of damage, and a push heals what it marked."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.histories import commit_files, content, make_repository
from tests.musehub.hub import RunningHub, hub_settings
from tests.musehub.upkeep.conftest import Upkeep

from muse.errors import MuseError
from muse.objects.ids import Kind
from muse.remote.address import RepositoryUrl, parse_hub_url
from muse.remote.clone import clone
from muse.remote.push import Pushed, push
from muse.remote.selection import select_refs
from muse.store.repository import Repository
from musehub.db.tables import blobs, commit_parents, commits, packs, records, repositories
from musehub.settings import Settings


class Scene:
    """A user with a repository here and on the hub."""

    def __init__(self, upkeep: Upkeep, folder: Path) -> None:
        self.upkeep = upkeep
        self.user = upkeep.hub.user("ada")
        self.url = RepositoryUrl(parse_hub_url(upkeep.hub.url), "ada", "songs")
        self.repository: Repository = make_repository(folder / "work", self.url)
        self._folder = folder
        self._clones = 0

    def push(self) -> Pushed:
        with self.upkeep.client(self.user) as client:
            return push(self.repository, "origin", select_refs(self.repository, ()), client)

    def check_clone(self) -> None:
        self._clones += 1
        with self.upkeep.client(self.user) as client:
            made = clone(self.url, self._folder / f"clone-{self._clones}", client, checkout=False)
        with made.repository as copy:
            assert content(copy, "remotes/origin/heads/") == content(self.repository)

    def execute(self, *statements: sa.Executable) -> None:
        """Do to the database what nobody should."""

        async def run() -> None:
            async with self.upkeep.database.transaction("damage") as conn:
                for statement in statements:
                    await conn.execute(statement)

        self.upkeep.call(run())

    def rows(self, *tables: sa.Table) -> list[set[tuple[object, ...]]]:
        async def run() -> list[set[tuple[object, ...]]]:
            async with self.upkeep.database.read("look") as conn:
                return [{tuple(row) for row in await conn.execute(sa.select(table))} for table in tables]

        found: list[set[tuple[object, ...]]] = self.upkeep.call(run())
        return found


@pytest.fixture
def settings(settings: Settings, database_kind: str) -> Settings:
    """Packs by way of the hub with one database, straight to the store with the other."""
    return hub_settings(settings, stream_max_objects=500 if database_kind == "sqlite" else 1)


@pytest.fixture
def scene(hub: RunningHub, tmp_path: Path) -> Scene:
    found = Scene(Upkeep(hub), tmp_path)
    text = "".join(f"line {n}\n" for n in range(400)).encode()
    commit_files(found.repository, {"a.txt": text, "noise": os.urandom(3000), "dir/b": b"b" * 100})
    found.push()
    commit_files(found.repository, {"a.txt": text + b"more", "dir/c": os.urandom(50)})
    found.push()
    assert found.upkeep.fsck(deep=True) == []
    return found


def remove(scene: Scene, key: str) -> None:
    scene.upkeep.call(scene.upkeep.store.delete([key]))


def flip(scene: Scene, key: str) -> None:
    path = Path(scene.upkeep.settings.data_dir / "store" / key)
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 0x40
    path.write_bytes(data)


def cut(scene: Scene, key: str) -> None:
    path = Path(scene.upkeep.settings.data_dir / "store" / key)
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize(
    ("damage", "what"), [(remove, "pack-missing"), (cut, "pack-damaged"), (flip, "pack-damaged")]
)
def test_a_push_brings_back_a_pack_that_the_store_lost(
    scene: Scene, damage: Callable[[Scene, str], None], what: str
) -> None:
    upkeep = scene.upkeep
    damage(scene, upkeep.pack_keys("songs")[0])

    (problem, *_rest) = upkeep.fsck(deep=damage is flip)
    assert problem.what == what
    # Without marking, the hub believes that it has everything.
    assert scene.push().receipt.up_to_date
    upkeep.fsck(deep=True, repair=True)
    assert {problem.what for problem in upkeep.fsck(deep=True)} == {"object-missing"}

    scene.push()

    assert upkeep.fsck(deep=True) == []
    scene.check_clone()
    assert scene.push().receipt.up_to_date


def test_a_push_of_something_else_brings_back_what_is_missing_too(scene: Scene) -> None:
    remove(scene, scene.upkeep.pack_keys("songs")[0])
    scene.upkeep.fsck(repair=True)
    commit_files(scene.repository, {"new": b"new"})
    scene.push()
    assert scene.upkeep.fsck(deep=True) == []
    scene.check_clone()


def test_a_client_that_has_nothing_of_it_is_not_kept_from_pushing(scene: Scene, tmp_path: Path) -> None:
    remove(scene, scene.upkeep.pack_keys("songs")[0])
    scene.upkeep.fsck(repair=True)
    other = make_repository(tmp_path / "other", scene.url)
    commit_files(other, {"unrelated": b"1"}, branch="other")
    with other, scene.upkeep.client(scene.user) as client:
        pushed = push(other, "origin", select_refs(other, ("other",)), client)
        again = push(other, "origin", select_refs(other, ("other",)), client)
    assert pushed.receipt.refs
    assert again.receipt.up_to_date
    assert {problem.what for problem in scene.upkeep.fsck()} == {"object-missing"}
    scene.push()
    assert scene.upkeep.fsck(deep=True) == []


@pytest.mark.parametrize("kind", [Kind.TREE, Kind.COMMIT])
def test_a_push_brings_back_records_that_cannot_be_read(scene: Scene, kind: Kind) -> None:
    this = records.c.kind == int(kind)
    scene.execute(records.update().where(this).values(payload=b"damaged"))
    problems = scene.upkeep.fsck()
    assert {problem.what for problem in problems} >= {"object-damaged"}
    with pytest.raises(MuseError):
        scene.check_clone()
    scene.upkeep.fsck(repair=True)
    scene.push()
    assert scene.upkeep.fsck(deep=True) == []
    scene.check_clone()


def test_every_other_damage_is_named(scene: Scene) -> None:
    r = repositories.c
    scene.execute(
        repositories.update().values(stored_bytes=r.stored_bytes + 1),
        commits.update().where(commits.c.generation == 2).values(summary="other"),
        blobs.delete().where(blobs.c.raw_size == 100),
    )
    found = {problem.what: problem for problem in scene.upkeep.fsck()}
    assert set(found) == {"totals-wrong", "commit-row-wrong", "object-missing"}
    scene.execute(records.delete().where(records.c.kind == int(Kind.COMMIT)))
    assert "ref-broken" in {problem.what for problem in scene.upkeep.fsck()}


@pytest.mark.parametrize("damage", ["text", "generation", "row gone", "edge gone", "stray"])
def test_rows_of_commits_are_derived_again(scene: Scene, damage: str) -> None:
    commit_files(scene.repository, {"dir/d": b"d"})
    scene.push()
    repository_id = scene.upkeep.repository("songs").id
    second = commits.c.generation == 2
    wrong = {
        "text": [commits.update().where(second).values(summary="other", agent_name="nobody")],
        # Its child's rows fit the wrong number, and are wrong all the same once it is right.
        "generation": [
            commits.update().where(commits.c.generation > 1).values(generation=commits.c.generation + 5),
            commit_parents.update()
            .where(commit_parents.c.parent_generation > 1)
            .values(parent_generation=commit_parents.c.parent_generation + 5),
        ],
        "row gone": [commits.delete().where(second)],
        "edge gone": [commit_parents.delete()],
        "stray": [
            commit_parents.insert().values(
                repository_id=repository_id,
                commit_id=b"x" * 32,
                position=0,
                parent_id=b"y" * 32,
                parent_generation=1,
            )
        ],
    }
    before = scene.rows(commits, commit_parents)
    scene.execute(*wrong[damage])
    assert {problem.what for problem in scene.upkeep.fsck(repair=True)} == {"commit-row-wrong"}
    assert scene.rows(commits, commit_parents) == before
    assert scene.upkeep.fsck(deep=True) == []
    commit_files(scene.repository, {"e": b"e"})
    scene.push()
    scene.check_clone()


def test_a_database_that_lost_what_the_store_has_adopts_it(scene: Scene) -> None:
    """The database is that of before the second push; all bytes still lie in the store."""
    keys = scene.upkeep.keys()
    last = sa.select(sa.func.max(packs.c.id)).scalar_subquery()
    newer = (
        sa.select(records.c.push_id)
        .where(records.c.kind == int(Kind.COMMIT))
        .order_by(records.c.position.desc())
    )
    scene.execute(
        sa.text("UPDATE refs SET target = (SELECT id FROM commits WHERE generation = 1)"),
        blobs.delete().where(blobs.c.pack_id == last),
        records.delete().where(records.c.push_id == newer.limit(1).scalar_subquery()),
        sa.text("DELETE FROM commit_parents"),
        commits.delete().where(commits.c.generation == 2),
        sa.text("DELETE FROM packs WHERE id = (SELECT max(id) FROM packs)"),
        sa.text("DELETE FROM pushes"),
    )
    scene.upkeep.fsck(repair=True)  # the totals
    assert scene.upkeep.fsck(deep=True) == []

    pushed = scene.push()

    assert not pushed.receipt.up_to_date
    assert scene.upkeep.keys() == keys
    assert scene.upkeep.fsck(deep=True) == []
    scene.check_clone()


def test_on_s3(upkeep_on_s3: Upkeep, tmp_path: Path) -> None:
    scene = Scene(upkeep_on_s3, tmp_path)
    commit_files(scene.repository, {"a": os.urandom(500), "b": os.urandom(500)})
    scene.push()
    (key,) = upkeep_on_s3.keys()
    remove(scene, key)
    assert [problem.what for problem in upkeep_on_s3.fsck()] == ["pack-missing"]
    upkeep_on_s3.fsck(repair=True)
    scene.push()
    assert upkeep_on_s3.fsck(deep=True) == []
    scene.check_clone()
