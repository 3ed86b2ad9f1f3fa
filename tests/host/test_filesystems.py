"""File systems that are treated as shared with other machines, from mount tables as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from etui.host.filesystems import file_system_type, is_network

TABLE = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
23 22 0:21 / /proc rw,nosuid shared:5 - proc proc rw
40 22 0:44 / /home rw,relatime shared:9 master:2 - nfs4 server:/home rw,vers=4.2
41 40 8:2 / /home/me/fast rw,relatime - xfs /dev/sdb1 rw
42 22 0:45 / /mnt/two\040words rw - cifs //server/share rw
43 22 0:46 / /mnt/covered rw - nfs server:/covered rw
44 43 0:47 / /mnt/covered rw - tmpfs tmpfs rw
45 22 0:48 / /mnt/ssh rw - fuse.sshfs host: rw
46 22 8:3 / /mnt/disk rw - fuseblk /dev/sdc1 rw
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mountinfo").write_text(TABLE)
    return tmp_path


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/srv/etui.db", "ext4", False),
        ("/home/me/etui.db", "nfs4", True),
        ("/home/me/fast/etui.db", "xfs", False),
        ("/homework/etui.db", "ext4", False),
        ("/mnt/two words/etui.db", "cifs", True),
        ("/mnt/covered/etui.db", "tmpfs", False),
        ("/mnt/ssh/etui.db", "fuse.sshfs", True),
        ("/mnt/disk/etui.db", "fuseblk", False),
    ],
)
def test_deepest_and_last_mount_decides(root: Path, path: str, kind: str, network: bool) -> None:
    assert file_system_type(Path(path), root) == kind
    assert is_network(Path(path), root) is network


def test_nothing_is_on_a_network_without_a_mount_table(tmp_path: Path) -> None:
    assert file_system_type(Path("/home"), tmp_path) is None
    assert not is_network(Path("/home"), tmp_path)


def test_local_temporary_folder_is_not_on_a_network(tmp_path: Path) -> None:
    assert file_system_type(tmp_path) is not None
