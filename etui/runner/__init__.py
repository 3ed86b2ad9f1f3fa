"""Who works when: the queue, the box lock, the child processes, time limits and cancelling."""
