"""The pages of the details screen, from a run's document to text of a given width."""
