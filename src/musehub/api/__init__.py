"""The JSON API, described by OpenAPI at /api/v1/schema."""
