"""The parts of the model summary: rows, texts, and the table of modules."""
