"""The catalog of models, precisions and delegates, described without importing torch."""
