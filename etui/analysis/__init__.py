"""Statistics of measurements: summaries, confidence intervals, verdicts, warning flags and trends."""
