"""What is remembered: the SQLite schema, its queries, and JSON in and out."""
