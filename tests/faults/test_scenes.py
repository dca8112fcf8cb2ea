"""Hundreds of pushes that are struck by faults: none loses anything.

`MUSE_TEST_FAULT_SEED` chooses the seed, `MUSE_TEST_FAULT_SCENE` one scene as it was printed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.faults.play import play
from tests.faults.scenes import Scene, iter_scenes, iter_strikes, parse_scene
from tests.faults.stage import OpenStage, ServerDidNotStart

ONE = os.environ.get("MUSE_TEST_FAULT_SCENE", "")
SEED = int(os.environ.get("MUSE_TEST_FAULT_SEED", "20"))
RANDOM_SCENES = 20
SCENES = [parse_scene(ONE)] if ONE else list(iter_scenes(SEED, RANDOM_SCENES))


@pytest.mark.parametrize("scene", SCENES, ids=str)
def test_no_fault_loses_anything(scene: Scene, open_stage: OpenStage, tmp_path: Path) -> None:
    try:
        played = play(open_stage(scene.stage), scene, tmp_path / "scene")
    except ServerDidNotStart:
        # Another program's failure says nothing of ours. A scene that was played and lost is never repeated.
        played = play(open_stage(scene.stage), scene, tmp_path / "again")
    again = f"again: MUSE_TEST_FAULT_SCENE='{scene}' pytest {Path(__file__).name}"
    assert not played.problem, f"{played.problem}\n{again}"


def test_scenes_are_enough() -> None:
    """Every fault at every step, at least 200 scenes, and each can be written down and played again."""
    assert ONE or len({str(scene) for scene in SCENES}) >= 200
    assert ONE or {strike for scene in SCENES for strike in scene.strikes} >= set(iter_strikes())
    assert all(parse_scene(str(scene)) == scene for scene in SCENES)
