"""Files on disk: atomic writes, private files, locks, hashes, and cache entries."""
