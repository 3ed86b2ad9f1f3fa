"""Analyses of finished runs: the profile and the numeric gap, and the skeleton they share."""
