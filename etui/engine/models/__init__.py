"""Models, weights and inputs: built, loaded, and stored as the bundle of a session."""
