"""Ids, formats and signatures of blobs, trees, commits and tags: pure; may import errors."""
