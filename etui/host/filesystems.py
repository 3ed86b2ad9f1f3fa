"""What kind of file system a path is on, as the kernel's table of mounts tells."""

from __future__ import annotations

import re
from pathlib import Path

_NETWORK_TYPES = frozenset(
    {
        "9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "fhgfs", "gfs2", "glusterfs", "gpfs", "lustre", "ncpfs",
        "nfs", "nfs4", "ocfs2", "orangefs", "panfs", "pvfs2", "smb2", "smb3", "smbfs", "vboxsf", "virtiofs", "vmhgfs",
        "fuse.beegfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.cephfs", "fuse.davfs", "fuse.gcsfuse", "fuse.glusterfs",
        "fuse.juicefs", "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "fuse.vmhgfs-fuse",
    }
)  # fmt: skip
"""The types whose files another kernel can have open at the same time: on a network, in a cluster, or shared with a
virtual machine's host. Locks and shared memory do not work across them as they do on one machine."""


def is_network(path: Path, root: Path = Path("/")) -> bool:
    """Whether a path is on a file system that other machines can have mounted too. The path need not exist. ``root``
    holds /proc; without a readable table of mounts (no Linux) the answer is False."""
    return file_system_type(path, root) in _NETWORK_TYPES


def file_system_type(path: Path, root: Path = Path("/")) -> str | None:
    """The type of the file system that a path is on, such as ``ext4``; None if the table of mounts cannot be read."""
    try:
        table = (root / "proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    try:
        target = path.resolve()
    except (OSError, RuntimeError):  # a loop of links
        target = path.absolute()
    found, depth = None, -1
    for line in table.splitlines():
        # Fields 5 and, after a lone hyphen, the next one: see proc_pid_mountinfo(5).
        before, hyphen, after = line.partition(" - ")
        fields = before.split(" ")
        if not hyphen or len(fields) < 5:
            continue
        point = Path(_unescaped(fields[4]))
        # What was mounted later on the same folder hides what was there.
        if target.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = after.split(" ", 1)[0], len(point.parts)
    return found


def _unescaped(text: str) -> str:
    """A mount point as it is named: the table writes spaces and line ends as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
