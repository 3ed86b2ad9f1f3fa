"""The panes of the trend screen."""
