"""Bringing a database to the tables of this version; Alembic scripts in `versions/`, run from here."""
