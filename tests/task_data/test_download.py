from __future__ import annotations

import io
import random
import shutil
import socket
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from etui.errors import EtuiError, StoreError, UsageError
from etui.task_data.download import RemoteFile, download, part_path
from etui.task_data.published import COCO2017, COCO2017_VAL, Archive, bytes_to_download, get_archives
from etui.task_data.reading import open_labelled_images, splits_of
from etui.task_data.zip_extraction import extract
from tests.task_data.server import FileServer, serving

CONTENT = random.Random(0).randbytes(3_000_000)
AT_ONCE = (0.0, 0.0)


class Seen:
    """The calls of a progress function."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, int, int]] = []

    def __call__(self, what: str, done: int, of: int) -> None:
        self.calls.append((what, done, of))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setenv("no_proxy", "*")
    with serving() as running:
        yield running


def test_a_file_is_downloaded_with_progress(server: FileServer, tmp_path: Path) -> None:
    seen = Seen()
    download(server.add("a.zip", CONTENT), tmp_path / "a.zip", seen, AT_ONCE)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["a.zip"]
    assert seen.calls[-1] == ("verifying a.zip", len(CONTENT), len(CONTENT))
    assert {of for _, _, of in seen.calls} == {len(CONTENT)}


def test_a_broken_connection_is_continued_where_it_broke(server: FileServer, tmp_path: Path) -> None:
    file = server.add("a.zip", CONTENT)
    server.breaks_after = [1_000_000, 0, 500_000]
    download(file, tmp_path / "a.zip", Seen(), AT_ONCE)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.ranges == ["", "bytes=1000000-", "bytes=1000000-", "bytes=1500000-"]


def test_another_call_continues_what_an_earlier_one_left(server: FileServer, tmp_path: Path) -> None:
    file = server.add("a.zip", CONTENT)
    server.breaks_after = [1_200_000, 0, 0, 0]
    with pytest.raises(EtuiError, match=r"broke at 1\.20 MB of 3\.00 MB") as raised:
        download(file, tmp_path / "a.zip", Seen(), AT_ONCE)
    assert "continues" in raised.value.hint
    assert part_path(tmp_path / "a.zip").stat().st_size == 1_200_000 and not (tmp_path / "a.zip").exists()
    server.ranges.clear()
    server.breaks_after.clear()
    download(file, tmp_path / "a.zip", Seen(), AT_ONCE)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT and server.ranges == ["bytes=1200000-"]


def test_an_interrupted_download_is_continued(server: FileServer, tmp_path: Path) -> None:
    def interrupt(what: str, done: int, of: int) -> None:
        if done > 1_000_000:
            raise KeyboardInterrupt

    file = server.add("a.zip", CONTENT)
    with pytest.raises(KeyboardInterrupt):
        download(file, tmp_path / "a.zip", interrupt, AT_ONCE)
    kept = part_path(tmp_path / "a.zip").stat().st_size
    assert kept > 1_000_000
    download(file, tmp_path / "a.zip", Seen(), AT_ONCE)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT and server.ranges[-1] == f"bytes={kept}-"


def test_a_server_without_ranges_sends_the_whole_file_again(server: FileServer, tmp_path: Path) -> None:
    file = server.add("a.zip", CONTENT)
    server.supports_ranges = False
    server.breaks_after = [1_000_000]
    download(file, tmp_path / "a.zip", Seen(), AT_ONCE)
    assert (tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_server_without_ranges_that_always_breaks_is_given_up(server: FileServer, tmp_path: Path) -> None:
    file = server.add("a.zip", CONTENT)
    server.supports_ranges = False
    server.breaks_after = [1_000_000] * 9
    with pytest.raises(EtuiError, match="broke"):
        download(file, tmp_path / "a.zip", Seen(), AT_ONCE)
    assert len(server.ranges) < 9


def test_a_wrong_checksum_removes_the_file(server: FileServer, tmp_path: Path) -> None:
    file = server.add("a.zip", CONTENT)
    server.files["/a.zip"] = bytes(len(CONTENT))
    with pytest.raises(EtuiError, match="checksum"):
        download(file, tmp_path / "a.zip", Seen(), AT_ONCE)
    assert not list(tmp_path.iterdir())


def test_another_file_of_another_size_is_not_stored(server: FileServer, tmp_path: Path) -> None:
    file = server.add("a.zip", CONTENT)
    part_path(tmp_path / "a.zip").write_bytes(CONTENT[:1000])
    server.files["/a.zip"] = b"<html>log in</html>"
    server.supports_ranges = False
    with pytest.raises(EtuiError, match=r"19 bytes instead of 3,000,000"):
        download(file, tmp_path / "a.zip", Seen(), AT_ONCE)
    assert part_path(tmp_path / "a.zip").read_bytes() == CONTENT[:1000]


def test_errors_of_the_server_and_of_the_network_are_explained(
    server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = server.add("a.zip", CONTENT)
    server.status = 503
    with pytest.raises(EtuiError, match="503"):
        download(file, tmp_path / "a.zip", Seen(), AT_ONCE)
    with pytest.raises(EtuiError, match="refused"):
        download(RemoteFile("http://127.0.0.1:1/a.zip", 10, ""), tmp_path / "a.zip", Seen(), AT_ONCE)
    server.status = 200
    with pytest.raises(StoreError, match="cannot write"):
        download(file, tmp_path / "absent" / "a.zip", Seen(), AT_ONCE)

    def unresolved(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unresolved)
    with pytest.raises(EtuiError, match="no network"):
        download(RemoteFile("http://absent.invalid/a.zip", 10, ""), tmp_path / "a.zip", Seen(), AT_ONCE)


# Archives


def zipped(members: dict[str, bytes]) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return content.getvalue()


@pytest.fixture
def archives(server: FileServer, digits: Path) -> list[Archive]:
    """The digits, packed as COCO is."""

    def pack(name: str, *parts: str) -> bytes:
        files = {f"{part}/{file.name}": file.read_bytes() for part in parts for file in (digits / part).iterdir()}
        return zipped({**files, f"{parts[0]}/readme.txt": b"not used"})

    notes = server.add("annotations.zip", pack("annotations.zip", "annotations"))
    names = [f"annotations/instances_{split}.json" for split in ("train", "val", "test")]
    found = [Archive(notes, "annotations/instances_*.json", 100_000, tuple(names))]
    for split in ("train", "val", "test"):
        file = server.add(f"{split}.zip", pack(f"{split}.zip", split))
        found.append(Archive(file, f"{split}/*.jpg", 100_000, (split,)))
    return found


def test_a_data_set_is_downloaded_and_extracted(archives: list[Archive], digits: Path, tmp_path: Path) -> None:
    total = sum(archive.file.size_bytes for archive in archives)
    assert bytes_to_download(archives, tmp_path / "got") == total
    get_archives(archives, tmp_path / "got", Seen(), AT_ONCE)
    assert splits_of(tmp_path / "got") == ("test", "train", "val")
    for split in ("train", "val", "test"):
        assert open_labelled_images(tmp_path / "got", split).sha256 == open_labelled_images(digits, split).sha256
    assert sorted(path.name for path in (tmp_path / "got").iterdir()) == ["annotations", "test", "train", "val"]
    assert not list((tmp_path / "got").rglob("readme.txt"))


def test_only_what_is_missing_is_downloaded(archives: list[Archive], server: FileServer, tmp_path: Path) -> None:
    folder = tmp_path / "got"
    server.breaks_after = [10**9, 10**9, 1000, 0, 0, 0]
    with pytest.raises(EtuiError, match="broke"):
        get_archives(archives, folder, Seen(), AT_ONCE)
    assert sorted(path.name for path in folder.iterdir()) == ["annotations", "train", "val.zip.part"]
    left = bytes_to_download(archives, folder)
    assert left == archives[2].file.size_bytes - 1000 + archives[3].file.size_bytes
    server.ranges.clear()
    server.breaks_after.clear()
    get_archives(archives, folder, Seen(), AT_ONCE)
    assert server.ranges == ["bytes=1000-", ""] and bytes_to_download(archives, folder) == 0
    get_archives(archives, folder, Seen(), AT_ONCE)
    assert len(server.ranges) == 2


def test_an_interrupted_extraction_is_repeated_without_a_download(
    archives: list[Archive], server: FileServer, tmp_path: Path
) -> None:
    def interrupt(what: str, done: int, of: int) -> None:
        if what == "extracting train.zip" and done > of / 2:
            raise KeyboardInterrupt

    folder = tmp_path / "got"
    with pytest.raises(KeyboardInterrupt):
        get_archives(archives, folder, interrupt, AT_ONCE)
    assert sorted(path.name for path in folder.iterdir()) == ["annotations", "train.zip"]
    server.ranges.clear()
    get_archives(archives, folder, Seen(), AT_ONCE)
    assert len(server.ranges) == 2 and len(list((folder / "train").iterdir())) == 56


def test_disk_space_is_checked_before(
    archives: list[Archive], server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(tmp_path)
    for free, enough in ((150_000, False), (2_000_000, True)):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: usage._replace(free=free))
        if enough:
            get_archives(archives, tmp_path / "got", Seen(), AT_ONCE)
        else:
            with pytest.raises(UsageError, match="150 kB of free disk space"):
                get_archives(archives, tmp_path / "got", Seen(), AT_ONCE)
            assert not server.ranges


def test_two_downloads_into_one_folder_do_not_mix(archives: list[Archive], tmp_path: Path) -> None:
    errors: list[str] = []

    def again(what: str, done: int, of: int) -> None:
        if not errors:
            with pytest.raises(EtuiError) as raised:
                get_archives(archives, tmp_path / "got", Seen(), AT_ONCE)
            errors.append(raised.value.message)

    get_archives(archives, tmp_path / "got", again, AT_ONCE)
    assert "another process" in errors[0]


@pytest.mark.parametrize("name", ["../evil.jpg", "/tmp/evil.jpg", "val/../../evil.jpg", "c:/evil.jpg", "val\\evil.jpg"])
def test_an_archive_with_files_outside_of_it_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.zip").write_bytes(zipped({"val/good.jpg": b"good", name: b"evil"}))
    with pytest.raises(EtuiError, match="not below the folder"):
        extract(tmp_path / "a.zip", tmp_path / "out", lambda _: True, lambda done, of: None)
    assert [path.name for path in tmp_path.rglob("*")] == ["a.zip"]


def test_an_archive_with_links_is_refused(tmp_path: Path) -> None:
    link = zipfile.ZipInfo("val/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc")
    with pytest.raises(EtuiError, match="link"):
        extract(tmp_path / "a.zip", tmp_path / "out", lambda _: True, lambda done, of: None)
    assert not (tmp_path / "out").exists()


def test_a_damaged_archive_is_reported(tmp_path: Path) -> None:
    whole = zipped({"val/a.jpg": CONTENT[:5000], "val/b.jpg": CONTENT[5000:9000]})
    changed = bytearray(whole)
    changed[2000] ^= 1
    for content in (bytes(changed), whole[:4000], b"", b"not an archive"):
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(EtuiError, match="damaged"):
            extract(tmp_path / "a.zip", tmp_path / "out", lambda _: True, lambda done, of: None)
        shutil.rmtree(tmp_path / "out", ignore_errors=True)


def test_coco_is_what_was_published() -> None:
    assert {archive.file.url for archive in COCO2017} == {
        "http://images.cocodataset.org/annotations/annotations_trainval2017.zip",
        "http://images.cocodataset.org/zips/val2017.zip",
        "http://images.cocodataset.org/zips/train2017.zip",
    }
    assert set(COCO2017_VAL) < set(COCO2017)
    assert all(len(archive.file.sha1) == 40 for archive in COCO2017)
