"""Documents derived from code are what the code says now."""

from __future__ import annotations

import re
from pathlib import Path

from scripts.generate_docs import stale_documents

_NAMED = re.compile(
    r"`((?:src|tests|docs|scripts|benchmarks|deploy)/[\w./-]*|[\w/-]+\.py|muse(?:hub)?(?:\.[a-z_]+)+)`"
)
_FILES_OF_USERS = {"musehub.sqlite", "musehub.toml", "musehub.service"}


def test_generated_documents_are_up_to_date() -> None:
    assert stale_documents() == [], "run `make docs`"


def test_every_file_that_a_document_names_is_there(repository_root: Path) -> None:
    documents = [repository_root / name for name in ("ARCHITECTURE.md", "CONTRIBUTING.md", "README.md")]
    documents += (repository_root / "docs").rglob("*.md")
    folders = ("src", "tests", "docs", "scripts", "benchmarks", "deploy")
    there = [
        f"/{path.relative_to(repository_root)}"
        for folder in folders
        for path in (repository_root / folder).rglob("*")
    ]
    there += [f"/{folder}" for folder in folders]
    missing = []
    for document in documents:
        for name in _NAMED.findall(document.read_text()):
            path = name.rstrip("/")
            if name.startswith("muse") and "/" not in name and name not in _FILES_OF_USERS:
                path = name.replace(".", "/")
            ends = (f"/{path}", f"/{path}.py")
            if name not in _FILES_OF_USERS and not any(each.endswith(ends) for each in there):
                missing.append(f"{document.name}: {name}")
    assert missing == []
