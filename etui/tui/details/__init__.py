"""The tabs of the details screen: each renders a run's document as text of a given width."""
