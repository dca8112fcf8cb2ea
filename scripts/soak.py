"""Play scenes of injected faults for a long time, on real servers: `make soak`.

SOAK_SCENES (1500) scenes at most, SOAK_SECONDS (no limit), SOAK_JOBS (one more than processors) processes,
SOAK_SEED (printed). The first scenes are every fault at every step, the rest is random. `--table` plays 700
if not told otherwise and writes docs/reliability.md, or SOAK_PAGE, from what happened, losses included.
"""

from __future__ import annotations

import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.faults.play import LOST, Played, play  # noqa: E402
from tests.faults.scenes import Scene, iter_scenes  # noqa: E402
from tests.faults.stage import ServerDidNotStart, open_stages  # noqa: E402
from tests.faults.table import reliability_page  # noqa: E402


def work(scenes: list[Scene], deadline: float) -> list[Played]:
    """Play scenes one after another on stages of this process."""
    os.environ["HOME"] = tempfile.mkdtemp(prefix="muse-soak-home-")
    folder = Path(tempfile.mkdtemp(prefix="muse-soak-"))
    folder.chmod(0o755)
    played: list[Played] = []
    try:
        with open_stages(folder) as open_stage:
            for number, scene in enumerate(scenes):
                if time.monotonic() > deadline:
                    break
                try:
                    one = play(open_stage(scene.stage), scene, folder / f"scene-{number}")
                except ServerDidNotStart as error:
                    print(f"not played: {scene}: {error}", flush=True)
                    continue
                played.append(one)
                print(f"{one.seconds:6.2f} s  {one.outcome:18} {scene}", flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(os.environ["HOME"], ignore_errors=True)
    return played


def results(scenes: list[Scene], jobs: int, deadline: float) -> Iterator[list[Played]]:
    if jobs == 1:
        yield work(scenes, deadline)
        return
    with ProcessPoolExecutor(jobs) as pool:
        running = [pool.submit(work, scenes[job::jobs], deadline) for job in range(jobs)]
        for future in as_completed(running):
            yield future.result()


def main(arguments: list[str]) -> int:
    seed = int(os.environ.get("SOAK_SEED") or random.randrange(1_000_000))
    table = "--table" in arguments
    count = int(os.environ.get("SOAK_SCENES") or (700 if table else 1500))
    seconds = float(os.environ.get("SOAK_SECONDS") or 1e9)
    jobs = int(os.environ.get("SOAK_JOBS") or len(os.sched_getaffinity(0)) + 1)
    scenes = list(iter_scenes(seed, count))[:count]
    random.Random(seed).shuffle(scenes)
    print(f"seed {seed}: {len(scenes)} scenes in {jobs} processes", flush=True)
    started = time.monotonic()
    played = [one for some in results(scenes, jobs, started + seconds) for one in some]
    took_s = time.monotonic() - started
    outcomes = Counter(one.outcome for one in played)
    dear: dict[str, list[float]] = defaultdict(list)
    for one in played:
        dear[one.scene.strikes[0].fault].append(one.seconds)
    for fault, times in sorted(dear.items()):
        print(f"  {fault:18} {len(times):5} scenes, {sum(times) / len(times):.2f} s each")
    shown = ", ".join(f"{number} {outcome}" for outcome, number in outcomes.most_common())
    print(f"{len(played)} of {len(scenes)} scenes in {took_s:.0f} s with seed {seed}: {shown}")
    if table:
        page = Path(os.environ.get("SOAK_PAGE") or ROOT / "docs" / "reliability.md")
        page.write_text(reliability_page(played, seed), encoding="utf-8")
        print(f"{page.name} written")
    lost = [one for one in played if one.outcome == LOST]
    for one in lost:
        print(f"LOST {one.scene}: {one.problem}")
    print("soak: ok" if played and not lost else f"soak: FAILED, {len(lost)} lost")
    return 1 if lost or not played else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
