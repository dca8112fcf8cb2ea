"""Walks, merge bases, tree diffs and merges over a reader; may import errors, objects."""
