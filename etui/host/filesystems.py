"""Determine the file system type of a path from the kernel's mount table."""

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
"""File system types whose files another kernel can have open at the same time: on a network, in a cluster, or shared
with a virtual machine's host. Locks and shared memory do not work reliably across machines."""


def is_network(path: Path, root: Path = Path("/")) -> bool:
    """Whether a path is on a file system that other machines can mount too. The path need not exist. ``root`` contains
    /proc; False without a readable mount table (not Linux)."""
    return file_system_type(path, root) in _NETWORK_TYPES


def file_system_type(path: Path, root: Path = Path("/")) -> str | None:
    """Return the file system type of a path, such as ``ext4``; None if the mount table cannot be read."""
    try:
        table = (root / "proc/self/mountinfo").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return None
    try:
        target = path.resolve()
    except (OSError, RuntimeError):  # symbolic link loop
        target = path.absolute()
    fs_type, depth = None, -1
    for line in table.splitlines():
        # Field 5, and the first field after the hyphen: see proc_pid_mountinfo(5).
        before, hyphen, after = line.partition(" - ")
        fields = before.split(" ")
        if not hyphen or len(fields) < 5:
            continue
        point = Path(_unescaped(fields[4]))
        # A later mount on the same folder hides an earlier one.
        if target.is_relative_to(point) and len(point.parts) >= depth:
            fs_type, depth = after.split(" ", 1)[0], len(point.parts)
    return fs_type


def _unescaped(text: str) -> str:
    """Decode a mount point: the table escapes spaces and line ends as octal numbers."""
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), text)
