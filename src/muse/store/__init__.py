"""A local repository, the only writer of .muse/; may import errors, objects, packs, history."""
