"""The runner: executes the queue of one database under the machine lock, with workers, time limits and cancellation."""
