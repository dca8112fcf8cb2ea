"""Serves fetches and clones: packs and records of what lacks; may import repos, accounts, storage, db."""
