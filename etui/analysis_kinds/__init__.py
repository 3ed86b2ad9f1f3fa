"""The kinds of analysis of a finished run: for each its options, its job, its result and its texts."""
