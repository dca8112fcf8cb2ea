"""The user's files: scan, ignore rules, checkout; may import store and what store may import."""
