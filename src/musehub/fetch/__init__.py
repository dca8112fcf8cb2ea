"""Serves fetches and clones: packs and records of what is missing; may import repos, accounts, storage, db."""
