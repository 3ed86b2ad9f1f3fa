"""Services shared by all front ends: check and queue requests, follow runs, duel, inspect programs."""
