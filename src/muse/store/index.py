"""The rows that name what is stored: the place of each object, the graph of commits, the ends of segments."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from muse.history.walk import Node
from muse.store.database import Database
from muse.store.locations import Location


def write_locations(
    database: Database, places: Mapping[tuple[int, bytes], Location], *, move: bool = False
) -> None:
    """Name objects, by kind and id, in the open database transaction.

    One that is named already stays where it is, unless they `move`. They go in the order of the table, which
    costs least.
    """
    database.execute_many(
        f"INSERT OR {'REPLACE' if move else 'IGNORE'} INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [(int(kind), object_id, *places[kind, object_id]) for kind, object_id in sorted(places)],
    )


def write_nodes(database: Database, nodes: Iterable[Node]) -> None:
    """Add commits to the graph."""
    database.execute_many(
        "INSERT OR IGNORE INTO commits VALUES (?, ?, ?, ?, ?)",
        ((node.id, b"".join(node.parents), node.generation, node.time_s, node.tree) for node in nodes),
    )


def write_ends(database: Database, ends: Iterable[tuple[int, int, bool]]) -> None:
    """Say where the named bytes of segments end: (number, end, whether it is an adopted pack)."""
    database.execute_many("INSERT OR REPLACE INTO segments VALUES (?, ?, ?)", ends)
