"""Files on disk: written atomically, private to their user, locked, hashed, and kept as entries of the cache."""
