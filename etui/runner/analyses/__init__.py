"""Analyses of finished runs: profiles, numeric gaps, and the code that executes them."""
