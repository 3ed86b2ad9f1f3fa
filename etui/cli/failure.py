"""The message and exit status of a command that failed."""

from __future__ import annotations

from etui.errors import EXIT_FAILED, EtuiError

_MOST_SHOWN = 300


def failure(error: Exception) -> tuple[str, int]:
    """Return the message and the exit status for an error that ends a command.

    Status 1 is reserved for crossed limits; errors that are not usage errors end with 3. An unexpected error is
    reported as a defect in etui, unless the system or the installation caused it.
    """
    if isinstance(error, EtuiError):
        return str(error), error.exit_status
    if isinstance(error, MemoryError):
        return "not enough memory; stop other programs, or use fewer runs at once", EXIT_FAILED
    if isinstance(error, ImportError):
        return f"{_shown(error)}; the installation is incomplete: install etui again", EXIT_FAILED
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{error.strerror}; `etui --debug ...` shows where it happened", EXIT_FAILED
    return (
        f"unexpected {type(error).__name__}{': ' if str(error) else ''}{_shown(error)}; this is a defect in etui:"
        " run it again as `etui --debug ...` and report the traceback",
        EXIT_FAILED,
    )


def _shown(error: Exception) -> str:
    message = " ".join(str(error).split())
    return message if len(message) <= _MOST_SHOWN else f"{message[:_MOST_SHOWN]}..."
