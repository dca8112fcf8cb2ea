"""Import from and export to Git repositories; may import store and what store may import, but not wire."""
