"""``etui inspect`` as an installed command: programs of any origin, and every kind of file that is not a program."""

from __future__ import annotations

import json
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from etui.programs.program import read_program
from tests.facts import lacking
from tests.machines import ETUI, PATIENCE_S, Machine

pytestmark = pytest.mark.slow


def patched(source: Path, target: Path, old: bytes, new: bytes) -> Path:
    """Return a copy of a program with its first ``old`` replaced."""
    content = source.read_bytes()
    assert old in content
    target.write_bytes(content.replace(old, new, 1))
    return target


def test_program_of_a_plain_script(machine: Machine, made: Path) -> None:
    shown = machine.etui("inspect", made / "xnnpack.pte").stdout
    assert "loads here   yes" in shown
    for part in (
        "method forward",
        "input 0    float32 [2, 24]  192 B",
        "output 0   float32 [2, 32]  256 B",
        "XnnpackBackend, 1 partition",
        "aten.native_layer_norm.out x1",
        f"{(made / 'xnnpack.pte').stat().st_size:,} bytes",
    ):
        assert part in shown
    report = json.loads(machine.etui("inspect", made / "two.pte", "--json").stdout)
    assert [method["name"] for method in report["methods"]] == ["encode", "forward"]
    assert report["loads"] is True and report["problem"] == ""
    assert not machine.database.exists() and not machine.cache.exists() and not machine.processes()


def test_existing_memory_limit_is_kept(machine: Machine, made: Path) -> None:
    code = (
        "import os, resource, sys; "
        f"resource.setrlimit(resource.RLIMIT_AS, ({12 << 30}, {12 << 30})); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    arguments = [sys.executable, "-c", code, str(ETUI), "inspect", str(made / "xnnpack.pte")]
    done = subprocess.run(
        arguments, capture_output=True, text=True, env=machine.environment, timeout=PATIENCE_S, check=False
    )
    assert "loads here   yes" in done.stdout, done.stdout + done.stderr


def test_unavailable_backend(machine: Machine, made: Path) -> None:
    done = machine.etui("inspect", made / "vulkan.pte", status=3)
    assert not lacking(done.stdout, "VulkanBackend, 1 partition", "Vulkan build")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("etui: ") and not lacking(done.stderr, "vulkan.pte", "VulkanBackend")


def test_weights_in_a_separate_file(machine: Machine, made: Path) -> None:
    done = machine.etui("inspect", made / "outside.pte", status=3)
    assert not lacking(done.stderr, ".ptd", "--data")
    assert "loads here   yes" in machine.etui("inspect", made / "outside.pte", "--data", made / "outside.ptd").stdout
    assert "data file (.ptd)" in machine.etui("inspect", made / "outside.ptd", status=2).stderr


@pytest.mark.parametrize(
    ("kind", "status", "message"),
    [
        ("missing", 2, "No such file"),
        ("folder", 2, "is a folder"),
        ("device", 2, "not a regular file"),
        ("empty", 2, "is empty"),
        ("random", 2, "not an ExecuTorch program"),
        ("cut", 2, "is truncated"),
        ("cut to its head", 2, "is truncated"),
        ("newer format", 2, "another file format (ET13"),
        ("newer schema", 2, "newer schema: version 9"),
        ("plans far too much", 3, "1,125,899.9 GB of memory"),
        ("plans less than nothing", 2, "plans a buffer of -5 bytes"),
        ("crashes the runtime", 3, "loading it crashed with "),
        ("data that is none", 3, "ExecuTorch cannot load it"),
    ],
)
def test_invalid_input_is_reported_in_one_line(
    machine: Machine, made: Path, tmp_path: Path, kind: str, status: int, message: str
) -> None:
    good, bad = made / "xnnpack.pte", tmp_path / "bad.pte"
    content, extra = good.read_bytes(), []
    planned = sum(read_program(memoryview(content)).methods[0].planned)
    match kind:
        case "folder":
            bad.mkdir()
        case "device":
            bad = Path("/dev/urandom")
        case "empty":
            bad.touch()
        case "random":
            with Path("/dev/urandom").open("rb") as source:
                bad.write_bytes(source.read(1024))
        case "cut":
            bad.write_bytes(content[: len(content) // 2])
        case "cut to its head":
            bad.write_bytes(content[:70])
        case "newer format":
            bad.write_bytes(content[:4] + b"ET13" + content[8:])
        case "newer schema":
            bad.write_bytes(of_version(9))
        case "plans far too much":
            patched(good, bad, struct.pack("<q", planned), struct.pack("<q", 1 << 50))
        case "plans less than nothing":
            patched(good, bad, struct.pack("<q", planned), struct.pack("<q", -5))
        case "crashes the runtime":
            patched(good, bad, b"XN01", b"\xff\xff\xff\x7f")
        case "data that is none":
            bad, extra = made / "outside.pte", ["--data", str(good)]
    done = machine.etui("inspect", bad, *extra, status=status)
    assert message in done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("etui: ")
    assert (done.stdout == "") == (status == 2)
    assert not machine.processes()


def test_control_sequences_in_names_do_not_reach_the_terminal(machine: Machine, made: Path, tmp_path: Path) -> None:
    bad = patched(made / "plain.pte", tmp_path / "bad.pte", b"forward", b"\x1b[31mX\n")
    done = machine.etui("inspect", bad, status=None)
    assert "method X" in done.stdout and "\x1b" not in done.stdout + done.stderr


def test_time_limit(machine: Machine, made: Path) -> None:
    done = machine.etui("inspect", made / "xnnpack.pte", "--timeout", "0.1", status=None)
    assert done.returncode in (3, 4) and "0.1 s" in done.stderr
    assert not machine.processes()


def of_version(version: int) -> bytes:
    """Return a program that contains only a schema version: its header, its table, and in the table the version."""
    return struct.pack("<I4sHHHHiI", 16, b"ET12", 6, 8, 4, 0, 8, version)
