"""Build models, load weights, generate inputs, and store them as the bundle of a session."""
