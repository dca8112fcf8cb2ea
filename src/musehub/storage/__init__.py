"""The object store: packs by key, on a disk or an S3-compatible server; may import db, settings."""
