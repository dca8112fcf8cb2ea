"""Memory goes back to the system after work, not after each piece of it."""

from __future__ import annotations

import asyncio

import pytest

from musehub.app.memory import Trimming, return_small_blocks


@pytest.mark.anyio
async def test_many_pieces_of_work_are_followed_by_one_trim_in_another_thread() -> None:
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    trims: list[None] = []

    def trim() -> None:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        trims.append(None)
        loop.call_soon_threadsafe(done.set)

    trimming = Trimming(trim, after_s=0.0)
    for _ in range(2):
        done.clear()
        for _ in range(10):
            trimming.note()
        await done.wait()
    assert len(trims) == 2


def test_it_can_be_asked_for_on_every_system() -> None:
    return_small_blocks()
