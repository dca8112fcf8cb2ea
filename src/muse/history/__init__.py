"""Walks, merge bases, editing and comparing trees, what somebody lacks; may import errors, objects."""
