"""The screen in a web browser: the server, its page, and the app processes that it starts."""
