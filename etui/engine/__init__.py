"""The jobs of worker processes: load, export, quantize, lower, measure, profile, compare outputs."""
