"""Thousands of hostile inputs, seeded so that every failure can be replayed: see ``python -m tests.fuzz --help``."""
