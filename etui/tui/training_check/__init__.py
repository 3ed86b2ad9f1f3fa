"""The training check on the screen."""
