"""The parts of the main screen that follow the cursor and the running session."""
