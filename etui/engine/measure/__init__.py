"""What is measured of a variant: latency, accuracy and memory, with the counters of the host."""
