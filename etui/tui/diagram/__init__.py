"""The parts of the diagram of a model: rows, texts, and the table of boxes."""
