"""Receives pushes: stream, uploads, receipts; may import repos, accounts, storage, db."""
