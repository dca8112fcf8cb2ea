"""Keeps a hub in order: room, clean-up, checks, backups; may import what lies below the delivery rooms."""
