"""Import and export of files: invalid fields are named, and files are written where requested."""

from __future__ import annotations

import os
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from etui.errors import ImportRefused, StoreError, UsageError
from etui.files.atomic import write_file
from etui.results import LogLine, RunDocument
from etui.store import Store
from etui.store.transfer import encoded, read_documents, write_documents, write_runs
from tests.documents import encode_documents, make_document

FLAT = {
    "model_name": "resnet18",
    "model_type": "cv",
    "precision": "INT8 (PT2E Quant)",
    "precision_short": "int8",
    "delegate": "xnnpack",
    "repeat": 50,
    "warmup": 5,
    "latency_ms": {"avg": 23.03, "min": 22.23, "max": 28.41, "std_dev": 1.22, "p95": 25.6, "p99": 27.86},
}


def as_data(document: RunDocument) -> dict[str, Any]:
    data = msgspec.json.decode(msgspec.json.encode(document))
    assert isinstance(data, dict)
    return data


def write_json(path: Path, value: object) -> Path:
    path.write_bytes(msgspec.json.encode(value))
    return path


def set_field(*steps: str | int, value: object) -> Callable[[dict[str, Any]], None]:
    def change(data: Any) -> None:
        for step in steps[:-1]:
            data = data[step]
        data[steps[-1]] = value

    return change


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


def test_one_run_or_an_array_of_runs(tmp_path: Path) -> None:
    first, second = make_document(), make_document("aaaaaaaaaaa2", precision="int8")
    one, two = tmp_path / "one.json", tmp_path / "two.json"
    one.write_bytes(encode_documents([first]))
    two.write_bytes(encode_documents([first, second]))
    assert read_documents(one) == [first]
    assert read_documents(two) == [first, second]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (set_field("latency_ms", "mean", value="fast"), "$.latency_ms.mean"),
        (set_field("latency_ms", "mean", value=-1.0), "$.latency_ms.mean"),
        (set_field("blocks", 1, "samples_ms", 2, value=-0.5), "$.blocks[1].samples_ms[2]"),
        (set_field("eager_latency_ms", "ci95", value=[1.0]), "$.eager_latency_ms.ci95"),
        (set_field("status", value="finished"), "$.status"),
        (set_field("schema", value="etui.run/2"), "$.schema"),
        (set_field("schema", value=None), "$.schema"),
        (set_field("id", value="../../etc/passwd"), "$.id"),
        (set_field("id", value=""), "$.id"),
        (set_field("session", "id", value="a b"), "$.session.id"),
        (set_field("created_at", value="yesterday"), "$.created_at"),
        (set_field("precision", value=" "), "$.precision"),
        (set_field("artifact", "size_bytes", value=-1), "$.artifact.size_bytes"),
        (set_field("artifact", "size_bytes", value=2**70), "$.artifact.size_bytes"),
        (set_field("threads", value=2**70), "$.threads"),
        (set_field("threads", value=-1), "$.threads"),
        (set_field("stages", 0, "seconds", value=-1), "$.stages[0].seconds"),
        (set_field("stages", 0, "seconds", value=1e10), "$.stages[0].seconds"),
        (set_field("blocks", 1, "samples_ms", 2, value=0), "$.blocks[1].samples_ms[2]"),
        (set_field("blocks", 1, "samples_ms", 2, value=0.0), "$.blocks[1].samples_ms[2]"),
        (set_field("blocks", 1, "samples_ms", 2, value=5e-324), "$.blocks[1].samples_ms[2]"),
        (set_field("blocks", 0, "samples_ms", 0, value=1e308), "$.blocks[0].samples_ms[0]"),
        (set_field("eager_blocks", 0, "samples_ms", 0, value=1e10), "$.eager_blocks[0].samples_ms[0]"),
        (set_field("blocks", 0, "program_load_ms", value=1e10), "$.blocks[0].program_load_ms"),
        (set_field("latency_ms", "median", value=1e-320), "$.latency_ms.median"),
        (set_field("latency_ms", "p95", value=1e12), "$.latency_ms.p95"),
        (set_field("latency_ms", "ci95", value=[1.0, 2e300]), "$.latency_ms.ci95[1]"),
        (set_field("speedup", "value", value=0), "$.speedup.value"),
        (set_field("speedup", "value", value=1e300), "$.speedup.value"),
        (set_field("speedup", "ci95", value=[0.0, 1.0]), "$.speedup.ci95"),
        (set_field("accuracy", "end_to_end", "overall", "mae", value=1e200), "$.accuracy.end_to_end.overall.mae"),
        (set_field("extra", value=deep(70)), "$"),
        (set_field("session", "spec", "extra", value=deep(900)), "$"),
        (
            set_field("accuracy", "end_to_end", "outputs", 0, "shape", value=["a"]),
            "$.accuracy.end_to_end.outputs[0].shape[0]",
        ),
    ],
)
def test_invalid_field_is_named(tmp_path: Path, change: Callable[[dict[str, Any]], None], field: str) -> None:
    data = as_data(make_document())
    change(data)
    path = write_json(tmp_path / "run.json", data)
    with pytest.raises(ImportRefused) as refused:
        read_documents(path)
    assert str(path) in refused.value.message
    assert f"`{field}`" in refused.value.message
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        set_field("blocks", 1, "samples_ms", 2, value=1e-6),
        set_field("blocks", 1, "samples_ms", 2, value=1e9),
        set_field("latency_ms", "std", value=1e-12),
        set_field("latency_ms", "min", value=0),
        set_field("latency_ms", "ci95", value=[1e-90, 1e90]),
        set_field("speedup", value={"value": 1e15, "ci95": [1e-100, 1e100]}),
        set_field("accuracy", "end_to_end", "overall", "mae", value=1e38),
        set_field("session", "spec", value={"format": "unknown", "deep": deep(30), "large": 1e300}),
    ],
)
def test_measurable_values_are_imported_and_exported_unchanged(
    tmp_path: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    data = as_data(make_document())
    change(data)
    (document,) = read_documents(write_json(tmp_path / "run.json", data))
    with Store.open(tmp_path / "etui.db") as store:
        store.import_documents([document])
        assert store.document(document.id) == document
    (file,) = write_documents([document], tmp_path / "out")
    assert read_documents(file) == [document]


def test_line_of_an_unknown_kind_or_level_is_read_as_a_log_line(tmp_path: Path) -> None:
    document = make_document()
    document.log = [LogLine(at="?", level="[/]", kind="shout", message="text")]
    with Store.open(tmp_path / "etui.db") as store:
        store.import_documents([document])
        (event,) = store.events_after(document.session.id, 0, document.id)
        assert (event.kind, event.level, event.message) == ("log", "info", "text")
        assert store.document(document.id) == document


def test_written_file_contains_no_control_characters(tmp_path: Path) -> None:
    document = make_document()
    document.note = "a\x7fb\x9b31mc\x1b[0m é \xa0"
    (file,) = write_documents([document], tmp_path)
    assert not set(file.read_text()) & {"\x7f", "\x9b", "\x1b"}
    assert read_documents(file) == [document]


def test_longest_possible_file_name_is_accepted(tmp_path: Path) -> None:
    target = tmp_path / f"{'n' * 250}.json"
    assert write_documents([make_document()], target) == [target]


def test_endless_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("etui.store.transfer.MOST_BYTES", 1_000_000)
    with pytest.raises(ImportRefused, match="larger than"):
        read_documents(Path("/dev/zero"))


@pytest.mark.parametrize("field", ["schema", "created_at"])
def test_long_invalid_value_is_truncated(tmp_path: Path, field: str) -> None:
    data = as_data(make_document())
    data[field] = "x" * 100_000
    path = write_json(tmp_path / "run.json", data)
    with pytest.raises(ImportRefused) as refused:
        read_documents(path)
    assert f"`$.{field}`" in refused.value.message and len(refused.value.message) < len(str(path)) + 500


def test_missing_field_and_array_index_are_named(tmp_path: Path) -> None:
    data = as_data(make_document())
    del data["model"]["family"]
    path = write_json(tmp_path / "runs.json", [as_data(make_document()), data])
    with pytest.raises(ImportRefused, match=r"family.*`\$\[1\]\.model`"):
        read_documents(path)


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[NaN]", b"1e999", b"[" * 100_000, b"[]", b"null", b"3", b'"x"', b"[[]]"]
)
def test_file_that_is_not_a_run_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(ImportRefused, match=r"run\.json"):
        read_documents(path)


def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ImportRefused, match="cannot read"):
        read_documents(tmp_path / "none.json")
    with pytest.raises(ImportRefused, match="cannot read"):
        read_documents(tmp_path)


def test_flat_result_is_a_run_with_only_a_summary(tmp_path: Path) -> None:
    path = write_json(tmp_path / "flat.json", FLAT)
    (document,) = read_documents(path)
    assert document.summary_only
    assert (document.model.name, document.precision, document.delegate) == ("resnet18", "int8", "xnnpack")
    assert document.latency_ms is not None
    assert (document.latency_ms.mean, document.latency_ms.median, document.latency_ms.p99) == (23.03, None, 27.86)
    assert "50 samples" in document.flags[0].detail
    with Store.open(tmp_path / "etui.db") as store:
        assert store.import_documents([document]) == ["new"]
        # The same content in another file with another key order is the same run.
        (again,) = read_documents(write_json(tmp_path / "copy.json", dict(reversed(FLAT.items()))))
        assert store.import_documents([again]) == ["known"]
        assert store.document(document.id) == document
        assert store.summary(document.id).latency_mean_ms == 23.03


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (set_field("latency_ms", "avg", value=None), "$.latency_ms.avg"),
        (set_field("latency_ms", "p95", value=-2), "$.latency_ms.p95"),
        (set_field("latency_ms", value={}), "$.latency_ms"),
        (set_field("delegate", value=""), "$.delegate"),
        (set_field("repeat", value="many"), "$.repeat"),
        (set_field("repeat", value=-1), "$.repeat"),
    ],
)
def test_flat_result_is_checked(tmp_path: Path, change: Callable[[dict[str, Any]], None], field: str) -> None:
    data = msgspec.json.decode(msgspec.json.encode(FLAT))
    change(data)
    with pytest.raises(ImportRefused) as refused:
        read_documents(write_json(tmp_path / "flat.json", data))
    assert f"`{field}`" in refused.value.message


def test_files_are_named_by_their_content_and_stay_in_their_folder(tmp_path: Path) -> None:
    evil = make_document("bbbbbbbbbbb1", model=msgspec.structs.replace(make_document().model, name="../../a b\x1b[1m"))
    documents = [make_document(), make_document("aaaaaaaaaaa2"), evil]
    files = write_documents(documents, tmp_path / "out")
    assert [file.name for file in files] == [
        "resnet18_fp32_xnnpack.json",
        "resnet18_fp32_xnnpack_aaaaaaaaaaa2.json",
        "a-b-1m_fp32_xnnpack.json",
    ]
    assert sorted(tmp_path.rglob("*.json")) == sorted(files)
    assert [read_documents(file) for file in files] == [[document] for document in documents]
    assert not list(tmp_path.rglob(".*"))


def test_existing_file_is_not_overwritten_without_force(tmp_path: Path) -> None:
    first, second = make_document(), make_document("aaaaaaaaaaa2", precision="int8")
    (tmp_path / "resnet18_int8_xnnpack.json").write_text("mine")
    with pytest.raises(UsageError, match="--force"):
        write_documents([first, second], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["resnet18_int8_xnnpack.json"]
    assert len(write_documents([first, second], tmp_path, force=True)) == 2
    assert read_documents(tmp_path / "resnet18_int8_xnnpack.json") == [second]


def test_only_one_run_is_in_memory_while_many_are_written(tmp_path: Path) -> None:
    documents = {one: make_document(one) for one in ("aaaaaaaaaaa1", "aaaaaaaaaaa2", "aaaaaaaaaaa3")}
    loaded: list[str] = []

    def load(run_id: str) -> RunDocument:
        loaded.append(run_id)
        return documents[run_id]

    names = [("m", "fp32", "xnnpack", one) for one in documents]
    for written, path in enumerate(write_runs(names, load, tmp_path), start=1):
        assert len(loaded) == written and read_documents(path) == [documents[loaded[-1]]]
    loaded.clear()
    pieces = []
    for piece in encoded(map(load, documents), many=True):
        pieces.append(piece)
        assert len(loaded) == min(len(pieces), 3)
    assert b"".join(pieces) == encode_documents(list(documents.values()))


def test_file_is_not_created_if_a_run_cannot_be_read(tmp_path: Path) -> None:
    def load(run_id: str) -> RunDocument:
        if run_id == "aaaaaaaaaaa2":
            raise StoreError("damaged")
        return make_document(run_id)

    names = [("m", "fp32", "xnnpack", one) for one in ("aaaaaaaaaaa1", "aaaaaaaaaaa2")]
    with pytest.raises(StoreError, match="damaged"):
        list(write_runs(names, load, tmp_path / "all.json"))
    assert list(tmp_path.iterdir()) == []


def test_unwritable_target_is_reported_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for target in (tmp_path / "file", tmp_path / "file" / "x.json"):
        with pytest.raises(StoreError, match="cannot create the folder"):
            write_documents([make_document()], target)


def test_written_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.write_text("")
    (file,) = write_documents([make_document()], tmp_path)
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


@pytest.mark.parametrize("force", [False, True])
def test_stream_is_written_to_and_never_replaced(tmp_path: Path, force: bool) -> None:
    """Such as /dev/stdout, or a path given by the shell for a reading process."""
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    data, read = b"some of it" * 20_000, []
    reader = threading.Thread(target=lambda: read.append((tmp_path / "pipe").read_bytes()))
    reader.start()
    write_file(tmp_path / "link", data, force=force)
    reader.join()
    assert read == [data]
    assert (tmp_path / "link").is_symlink() and (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["link", "pipe"]


def test_closed_reader_is_not_a_store_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        with pytest.raises(BrokenPipeError):
            write_file(Path(f"/dev/fd/{writer}"), b"some of it", force=False)
    finally:
        os.close(writer)


def test_socket_is_neither_written_to_nor_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket takes the place of a block device, which a test should not create."""
    monkeypatch.chdir(tmp_path)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("here")
        with pytest.raises(UsageError, match="not a file"):
            write_file(tmp_path / "here", b"some of it", force=True)
        assert (tmp_path / "here").is_socket()
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
