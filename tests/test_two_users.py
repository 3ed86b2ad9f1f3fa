"""Two users on one machine: they measure in turn, and neither can read the other's files."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machines import ETUI, Machine

NOBODY = 65534
MODEL = "tiny.py:convolutional"
LONG = ("--preset", "rigorous", "--repeat", "2000000000", "--timeout", "600", "--threads", "1")
SHORT = ("--preset", "quick", "--repeat", "6", "--warmup", "1")
TINY = Path(__file__).parent / "engine" / "tiny.py"

# Python may be installed in a home folder that is closed to others; it is then mounted in a separate view of the file
# system.
_AS_ANOTHER = """
closed=$1 python=$2; shift 2
if [ -n "$closed" ]; then
    kept=$(mktemp -d); mount --bind "$python" "$kept"; mount -t tmpfs -o mode=0755 none "$closed"
    mkdir -p "$python"; mount --bind "$kept" "$python"
fi
exec setpriv --reuid 65534 --regid 65534 --clear-groups -- "$@"
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        os.geteuid() != 0 or not shutil.which("setpriv") or not shutil.which("unshare"),
        reason="only root can be another user, with setpriv and unshare",
    ),
]


def _as_another() -> list[str]:
    python = Path(sys.base_prefix).resolve()
    closed = next((str(folder) for folder in reversed(python.parents) if not folder.stat().st_mode & 0o001), "")
    return ["unshare", "--mount", "sh", "-ec", _AS_ANOTHER, "sh", closed, str(python)]


@pytest.fixture
def users() -> Iterator[tuple[Machine, Machine]]:
    """Yield the simulated machines of this user and of another one, with one lock shared by both."""
    folder = Path(tempfile.mkdtemp(prefix="etui-two-users-"))
    machines = []
    try:
        for name, user, prefix in (("one", 0, []), ("two", NOBODY, _as_another())):
            own = folder / name
            own.mkdir(0o755)
            shutil.copyfile(TINY, own / "tiny.py")
            machine = Machine(own)
            machine.prefix = prefix
            machine.database = own / "data" / "etui.db"
            machine.environment |= {
                "ETUI_DB": str(machine.database), "ETUI_BOX_LOCK": str(folder / "shared" / "lock"), "HOME": str(own),
                "PYTHONDONTWRITEBYTECODE": "1",
            }  # fmt: skip
            os.chown(own, user, user)
            machines.append(machine)
        (folder / "shared").mkdir()
        (folder / "shared").chmod(0o1777)
        folder.chmod(0o755)
        command = subprocess.run([*machines[1].prefix, ETUI, "--help"], check=False, capture_output=True)
        if command.returncode:
            pytest.skip(f"no other user can run the installed command here: {command.stderr.decode()}")
        yield machines[0], machines[1]
    finally:
        for machine in machines:
            machine.close()
        shutil.rmtree(folder)


def _model(machine: Machine) -> str:
    return f"{machine.folder / MODEL}"


def _waits_for(holder: Machine, other: Machine, user: str) -> None:
    """Measure with one user while the other waits; check that the message names the first, and that the second is
    served next."""
    (held,) = holder.detach(_model(holder), *LONG)
    holder.wait_for_status(held, "measuring")
    (waiting,) = other.detach(_model(other), *SHORT)
    other.wait_for_event(waiting, f"user {user}")
    assert other.status(waiting) == "queued"
    holder.etui("cancel", held)
    assert other.wait_for_status(waiting, "done", "failed") == "done"


@pytest.mark.slow
def test_users_take_turns_and_cannot_read_each_others_files(users: tuple[Machine, Machine]) -> None:
    mine, theirs = users
    _waits_for(mine, theirs, "root")
    _waits_for(theirs, mine, "nobody")
    for path in (mine.database, mine.cache, mine.folder / "state", mine.database.with_name("etui.db-wal")):
        for tool in ("ls", "cat"):
            done = subprocess.run([*theirs.prefix, tool, path], check=False, capture_output=True, text=True)
            assert done.returncode != 0 and "denied" in done.stderr.lower(), (tool, path, done.stderr)
    assert theirs.database.stat().st_uid == NOBODY and theirs.database.stat().st_mode & 0o077 == 0
    done = theirs.etui("--db", mine.database, "runs", status=3)
    assert "Traceback" not in done.stderr and len(done.stderr.splitlines()) == 1
