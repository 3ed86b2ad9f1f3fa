"""What the numbers mean: summaries, intervals, verdicts and flags."""
