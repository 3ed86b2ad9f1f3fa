"""Measure a variant: latency, accuracy and memory, with the host's counters."""
