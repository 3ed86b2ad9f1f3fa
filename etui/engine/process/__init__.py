"""Start-up of worker processes: the fork server, the worker, preloading and silencing of libraries."""
