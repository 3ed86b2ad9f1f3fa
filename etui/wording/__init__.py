"""Sentences made from results: verdicts, comparisons, trends, warning flags."""
