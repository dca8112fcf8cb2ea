"""Benchmarks beside the peers; `python -m benchmarks --help`. Outside test collection."""
