"""Other processes of this machine, as far as the kernel shows them to this user: ids, owners and command lines."""

from __future__ import annotations

from pathlib import Path

from etui.host.user import name_of

_MOST_BYTES = 1 << 16


def process_ids(root: Path = Path("/")) -> list[int]:
    """Return the ids of all visible processes, in order. ``root`` contains /proc."""
    try:
        return sorted(int(entry.name) for entry in (root / "proc").iterdir() if entry.name.isdigit())
    except OSError:
        return []


def command_line(pid: int, root: Path = Path("/")) -> list[str]:
    """Return the words of a process's command line; none if it has ended or is not readable."""
    try:
        with (root / "proc" / str(pid) / "cmdline").open("rb") as file:
            words = file.read(_MOST_BYTES).split(b"\0")
    except OSError:
        return []
    return [word.decode("utf-8", "surrogateescape") for word in words[:-1]]


def owner_name(pid: int, root: Path = Path("/")) -> str | None:
    """Return the name of the user of a process; None if it has ended."""
    try:
        return name_of((root / "proc" / str(pid)).stat().st_uid)
    except OSError:
        return None
