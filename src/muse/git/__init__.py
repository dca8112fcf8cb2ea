"""Import from and export to Git repositories; may import errors, objects, packs, history, store."""
