"""Terminal charts, from plain data to a rich Text of a given size; ``drawing`` has all of them."""
