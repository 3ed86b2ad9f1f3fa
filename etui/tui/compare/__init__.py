"""The panes of the compare screen, and where they get what they show."""
