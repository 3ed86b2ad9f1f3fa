"""The terminal UI: a Textual app over the store and the runner."""

import os

# What a key changes is drawn at the next of so many moments a second; Textual's own 60 cost a key up to 17 ms.
os.environ.setdefault("TEXTUAL_FPS", "120")
