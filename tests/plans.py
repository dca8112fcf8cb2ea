"""The whole plan of a push at once, for tests."""

from __future__ import annotations

from typing import Any

from muse.history.missing import NewObjects


def find_new_objects(*arguments: Any, **limits: Any) -> NewObjects:
    new = NewObjects(*arguments, **limits)
    while new.find_more():
        pass
    return new
