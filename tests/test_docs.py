"""Documents derived from code are what the code says now."""

from __future__ import annotations

from scripts.generate_docs import stale_documents


def test_generated_documents_are_up_to_date() -> None:
    assert stale_documents() == [], "run `make docs`"
