"""How a command ends that failed: one line about the error, and the exit status."""

from __future__ import annotations

from etui.errors import EXIT_FAILED, EtuiError

_MOST_SHOWN = 300


def failure(error: Exception) -> tuple[str, int]:
    """What to say of an error that ends a command, and with which status to end.

    Status 1 is for crossed tolerances alone, so whatever is no mistake of the user's ends with 3. An error that nobody
    expected is a defect in etui and is called one; what the system or the installation refuses is not.
    """
    if isinstance(error, EtuiError):
        return str(error), error.exit_status
    if isinstance(error, MemoryError):
        return "there is not enough memory for this; end other programs, or ask for less at once", EXIT_FAILED
    if isinstance(error, ImportError):
        return f"{_shown(error)}; the installation is not whole: install etui again", EXIT_FAILED
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename is not None else ""
        return f"{place}{error.strerror}; `etui --debug ...` shows where it happened", EXIT_FAILED
    return (
        f"unexpected {type(error).__name__}{': ' if str(error) else ''}{_shown(error)}; this is a defect in etui:"
        " run it again as `etui --debug ...` and report the traceback",
        EXIT_FAILED,
    )


def _shown(error: Exception) -> str:
    words = " ".join(str(error).split())
    return words if len(words) <= _MOST_SHOWN else f"{words[:_MOST_SHOWN]}..."
