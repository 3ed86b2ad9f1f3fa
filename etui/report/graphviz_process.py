"""A process that has Graphviz draw one graph, so that its messages, a crash or an endless layout stay in it.

``python -m etui.report.graphviz_process FORMAT`` reads DOT from standard input and writes the file to standard output.
"""

from __future__ import annotations

import subprocess
import sys

from etui.errors import EXIT_TIMED_OUT, EtuiError, UsageError

_NOT_INSTALLED, _CANNOT_DRAW = 10, 11


class DrawingTimedOut(EtuiError):
    """Drawing took too long."""

    exit_status = EXIT_TIMED_OUT


def draw(dot: str, kind: str, limit_s: float) -> bytes:
    """Return the drawing of a graph in a format of Graphviz.

    Raises:
        UsageError: pygraphviz is not installed.
        DrawingTimedOut: it took longer than ``limit_s`` seconds.
        EtuiError: Graphviz cannot draw it.
    """
    command = [sys.executable, "-m", "etui.report.graphviz_process", kind]
    try:
        done = subprocess.run(command, input=dot.encode(), capture_output=True, timeout=limit_s, check=False)
    except subprocess.TimeoutExpired as error:
        raise DrawingTimedOut(
            f"drawing the diagram took longer than {limit_s:g} s",
            "choose a lower --level, or a longer --timeout",
            screen_hint="choose a lower level",
        ) from error
    except OSError as error:
        raise EtuiError(f"cannot start the process that draws: {error.strerror}", "close other programs") from error
    if done.returncode == 0 and done.stdout:
        return done.stdout
    said = done.stderr.decode(errors="replace").strip().splitlines()
    if done.returncode == _NOT_INSTALLED:
        raise UsageError(
            "a picture needs the package pygraphviz, which is not installed",
            "install it with: pip install 'etui[diagram]'; without -o the diagram is printed",
            screen_hint="install it with: pip install 'etui[diagram]'",
        )
    reason = said[-1] if said else f"it ended with status {done.returncode}"
    raise EtuiError(f"Graphviz cannot draw the diagram: {reason}", "choose a lower --level", screen_hint="")


def main() -> int:
    """Draw the graph given on standard input."""
    try:
        import pygraphviz
    except ImportError as error:
        print(error, file=sys.stderr)
        return _NOT_INSTALLED
    try:
        with pygraphviz.AGraph(string=sys.stdin.buffer.read().decode()) as graph:
            drawn: bytes = graph.draw(format=sys.argv[1], prog="dot")
    except (OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return _CANNOT_DRAW
    sys.stdout.buffer.write(drawn)
    return 0


if __name__ == "__main__":
    sys.exit(main())
