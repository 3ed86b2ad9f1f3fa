"""``etui web``: the server over its websocket, and in a headless browser."""
