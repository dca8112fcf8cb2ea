"""Repositories, their branches and what is in them; may import accounts, storage, db."""
