"""The terminal UI: a Textual app over the store and the runner."""
