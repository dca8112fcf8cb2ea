"""Tables, migrations and queries; SQLite and PostgreSQL behind the same code."""
