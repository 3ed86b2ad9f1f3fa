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


def environment_variable(pid: int, name: str, root: Path = Path("/")) -> str | None:
    """Return a variable in the environment that a process was started with, empty if it is not set; None if it is not
    readable, as for processes of other users."""
    try:
        with (root / "proc" / str(pid) / "environ").open("rb") as file:
            variables = file.read(_MOST_BYTES).split(b"\0")
    except OSError:
        return None
    start = f"{name}=".encode()
    found = next((variable for variable in variables if variable.startswith(start)), b"")
    return found.removeprefix(start).decode("utf-8", "surrogateescape")


def shares_network(pid: int, root: Path = Path("/")) -> bool | None:
    """Whether a process has the same network namespace as this one; None if that is not readable, as for processes of
    other users."""
    try:
        own, other = ((root / "proc" / each / "ns/net").stat().st_ino for each in ("self", str(pid)))
    except OSError:
        return None
    return own == other


def owner_name(pid: int, root: Path = Path("/")) -> str | None:
    """Return the name of the user of a process; None if it has ended."""
    try:
        return name_of((root / "proc" / str(pid)).stat().st_uid)
    except OSError:
        return None
