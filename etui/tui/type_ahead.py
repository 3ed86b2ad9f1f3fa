"""Keys that are kept until what they act on is ready, and then handled as if they were pressed now."""

from __future__ import annotations

from textual import events
from textual.app import App


class TypeAhead:
    """The kept keys, in order."""

    def __init__(self) -> None:
        self._keys: list[events.Key] = []

    def __bool__(self) -> bool:
        """Whether any are kept."""
        return bool(self._keys)

    def keep(self, event: events.Key) -> None:
        """Keep a key and stop its event."""
        event.stop()
        event.prevent_default()
        self._keys.append(event)

    def replay(self, app: App[object]) -> None:
        """Send the kept keys to what has the focus."""
        keys, self._keys = self._keys, []
        for key in keys:
            # An event does not bubble beyond its sender, and the bindings are looked up by the app.
            app.post_message(events.Key(key.key, key.character).set_sender(app))
