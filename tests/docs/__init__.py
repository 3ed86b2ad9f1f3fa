"""Generates the reference pages and the examples in ``docs/`` from the code: ``python -m tests.docs`` writes them."""
