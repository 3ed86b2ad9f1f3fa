"""Short training loops that check whether a model trains."""
