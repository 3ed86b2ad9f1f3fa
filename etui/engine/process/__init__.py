"""Worker processes: the fork server, the worker's job loop, preloading and silencing of libraries."""
