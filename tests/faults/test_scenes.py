"""Hundreds of pushes that are struck by faults: none loses anything.

`MUSE_TEST_FAULT_SEED` chooses the seed, `MUSE_TEST_FAULT_SCENE` one scene as it was printed.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest
from tests.faults.hubcheck import check_hub
from tests.faults.play import Lost, play
from tests.faults.scenes import Scene, iter_scenes, parse_scene
from tests.faults.stage import OpenStage

ONE = os.environ.get("MUSE_TEST_FAULT_SCENE", "")
SEED = int(os.environ.get("MUSE_TEST_FAULT_SEED", "20"))
RANDOM_SCENES = 20
BATCHES = 12


def choose_scenes() -> list[Scene]:
    if ONE:
        return [parse_scene(ONE)]
    scenes = list(iter_scenes(SEED, RANDOM_SCENES))
    random.Random(0).shuffle(scenes)  # dear ones and cheap ones in every batch
    return scenes


SCENES = choose_scenes()


def play_once(open_stage: OpenStage, scene: Scene, folder: Path) -> str | None:
    """Play a scene; returns what was lost and how to play it again, None when nothing was."""
    try:
        play(open_stage(scene.stage), scene, folder)
    except (Lost, OSError) as error:
        return f"{error}\n    again: MUSE_TEST_FAULT_SCENE='{scene}' pytest {Path(__file__).name}"
    return None


@pytest.mark.timeout(600)
@pytest.mark.parametrize("batch", range(1 if ONE else BATCHES))
def test_no_fault_loses_anything(batch: int, open_stage: OpenStage, tmp_path: Path) -> None:
    """Also checks each hub that was played with from behind, at the end."""
    failures = []
    kinds = set()
    for number, scene in enumerate(SCENES[batch :: 1 if ONE else BATCHES]):
        kinds.add(scene.stage)
        failure = play_once(open_stage, scene, tmp_path / str(number))
        if failure is not None and not ONE:
            # Everything is seeded but the machine: what it was too busy for succeeds now, a defect does not.
            print(f"played again: {failure}")
            failure = play_once(open_stage, scene, tmp_path / f"{number}-again")
        if failure is not None:
            failures.append(failure)
    for kind in kinds:
        failures += check_hub(open_stage(kind))
    assert not failures, f"seed {SEED}: {len(failures)} failed\n" + "\n".join(failures)


def test_scenes_are_enough() -> None:
    assert ONE or len({str(scene) for scene in SCENES}) >= 200
    assert all(parse_scene(str(scene)) == scene for scene in SCENES)
