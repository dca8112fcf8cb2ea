"""zstd files, written and read as streams."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdFile
else:
    from backports.zstd import ZstdFile


def open_writer(file: Any) -> ZstdFile:
    """Compress what is written into `file`, which stays open."""
    return ZstdFile(file, "wb", level=3)


def open_reader(path: Path) -> ZstdFile:
    """Iterate over the lines of a compressed file."""
    return ZstdFile(path, "rb")
