"""The terminal user interface: a Textual app on the database and the runner."""

import os

# Redraws happen at this rate; Textual's default of 60 per second delays the response to a key by up to 17 ms.
os.environ.setdefault("TEXTUAL_FPS", "120")
