"""A process that does one job, given on its standard input, and ends.

``python -m etui.engine.process.single_job FD NICE`` imports only what the job's function needs, unlike a fork server,
and writes its messages to the pipe FD. What the job's code prints is discarded by the parent.
"""

from __future__ import annotations

import os
import resource
import sys

import msgspec

from etui.engine.process.fork_server import die_with_parent
from etui.engine.process.silence import quiet
from etui.engine.process.worker import Report, run


def main() -> None:
    """Do the job, and end without the exit handlers of libraries."""
    fd, nice = int(sys.argv[1]), int(sys.argv[2])
    die_with_parent()
    os.nice(nice)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    job = msgspec.Raw(sys.stdin.buffer.read())
    quiet()
    os._exit(run(job, Report(fd)))


if __name__ == "__main__":
    main()
