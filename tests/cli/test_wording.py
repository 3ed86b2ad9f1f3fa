"""The wording of what the commands print, in one golden file per renderer (``tests/golden.py`` tells how to update)."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner

from etui import __version__, doctor
from etui.cli.inspection_output import program_text
from etui.cli.main import cli
from etui.insight import BackendNeed, MethodInfo, ProgramInfo, TensorSignature
from etui.results import CallTiming, Flag, RunDocument
from tests.analysis.comparisons import LATER, measured
from tests.cli.conftest import Etui
from tests.cli.test_trend import past
from tests.documents import make_document
from tests.golden import FOLDER, Golden
from tests.insights import look_inside, make_sections

Stored = Callable[..., None]
Transcript = Callable[..., str]


@pytest.fixture
def transcript(etui: Etui, tmp_path: Path) -> Transcript:
    """Run commands, given as words, and return each with its stdout, stderr and exit status. The test's own folder is
    written as ``FOLDER``."""

    def run(*commands: str) -> str:
        parts = []
        for command in commands:
            done = etui(*command.split())
            status = f"[exit status {done.returncode}]\n" if done.returncode else ""
            parts.append(f"$ etui {command}\n{done.stdout}{done.stderr}{status}")
        return "\n".join(parts).replace(str(tmp_path), "FOLDER")

    return run


def compared() -> list[RunDocument]:
    """A base, a faster run of its session, a slower one of another, and one of other threads."""
    runs = [
        measured("aaaaaaaaaaa1", seed=1, drift_sd=0),
        measured("bbbbbbbbbbb2", seed=2, median=8.0, precision="int8", drift_sd=0),
        measured("ccccccccccc3", seed=3, median=17.6, drift_sd=0, session_id=LATER),
        measured("ddddddddddd4", seed=4, drift_sd=0, session_id="5e5510000003"),
    ]
    runs[3].threads = 1
    return runs


def test_show(golden: Golden, transcript: Transcript, stored: Stored) -> None:
    plain, inside = make_document(), look_inside(make_document("bbbbbbbbbbb2", precision="int8", median=8.0))
    inside.call = CallTiming(inputs_ms=0.02, execute_ms=7.98, outputs_ms=0.01, fixed_ms=0.004)
    failed = make_document("ccccccccccc3", session_id=LATER, delegate="openvino")
    failed.status, failed.error, failed.blocks = "failed", "lowering failed: no kernel", []
    failed.latency_ms = failed.speedup = failed.accuracy = failed.artifact = None
    summary = make_document("ddddddddddd4", session_id="5e5510000003")
    summary.summary_only, summary.blocks = True, []
    stored(plain, inside, failed, summary)
    golden("show", transcript("show a", "show b", "show c", "show d"))


@pytest.mark.slow
def test_compare(golden: Golden, transcript: Transcript, stored: Stored) -> None:
    stored(*compared())
    golden(
        "compare",
        transcript(
            "compare a b c", "compare a b --all", "compare a d", "compare a d --force",
            "compare b a --fail-if-slower 5", "compare a b --fail-if-slower 5 --fail-if-mae-above 1",
            "compare a d --fail-if-slower 5",
        ),
    )  # fmt: skip


@pytest.mark.slow
def test_trend(golden: Golden, transcript: Transcript, stored: Stored) -> None:
    stored(*past())
    golden("trend", transcript("trend 000000000003", "trend 000000000003 --limit 4"))


def test_profile(golden: Golden, transcript: Transcript, stored: Stored) -> None:
    stored(look_inside(make_document()))
    golden(
        "profile",
        transcript(
            "profile a", "profile a --by operator", "profile a --by each --limit 3", "profile a --module nowhere"
        ),
    )


def test_gap(golden: Golden, transcript: Transcript, stored: Stored) -> None:
    stored(look_inside(make_document()))
    golden("gap", transcript("gap a", "gap a --sort contribution --limit 2", "gap a --threshold-db -50 --limit 1"))


def test_report(golden: Golden, etui: Etui, stored: Stored, tmp_path: Path) -> None:
    runs = compared()
    runs[1].eager_flags = [Flag(name="foreign load", detail="something else used up to 1.90 cores in 3 of 3 blocks")]
    stored(*runs)
    assert etui("report", "a", "b", "c", "d", "-o", "report.md").returncode == 0
    golden("report", re.sub(rf"{re.escape(__version__)} *", "VERSION ", (tmp_path / "report.md").read_text()))


def test_inspect(golden: Golden, transcript: Transcript, stored: Stored) -> None:
    stored(look_inside(make_document()), make_document("bbbbbbbbbbb2", precision="int8"))
    signature = TensorSignature(kind="input", index=0, dtype="float32", shape=[2, 24], size_bytes=192)
    here = BackendNeed(name="XnnpackBackend", subgraphs=1, here=True)
    elsewhere = BackendNeed(
        name="VulkanBackend", subgraphs=2, here=False, hint="run it on a device with a Vulkan build"
    )
    methods = [
        MethodInfo(
            name="forward", inputs=[signature], outputs=[msgspec.structs.replace(signature, kind="output")],
            planned_bytes=4_096, instructions=3, backends=[here, elsewhere], operators={"aten.mean.out": 2},
        ),
        MethodInfo(
            name="encode", inputs=[], outputs=[], planned_bytes=0, instructions=1, backends=[], operators={}
        ),
    ]  # fmt: skip
    info = ProgramInfo(
        name="plain.pte",
        size_bytes=46_700_000,
        sha256="ab" * 32,
        schema_version=0,
        methods=methods,
        sections=make_sections(),
        loads=True,
    )
    refused = msgspec.structs.replace(info, methods=[], loads=False, problem="it needs VulkanBackend", notes=["a note"])
    programs = "\n\n".join(program_text(one, whole=False) for one in (info, refused))
    golden("inspect", f"{transcript('inspect a', 'inspect b')}\n{programs}")


def planted(root: Path, *, bad: bool) -> Path:
    """A folder with the files of /proc and /sys of a machine that is unfit for measurements, or of a fit one."""
    core = min(os.sched_getaffinity(0))
    flags = "flags\t\t: fpu sse4_2 avx2" + (" hypervisor" if bad else "")
    for name, content in {
        "proc/cpuinfo": f"processor\t: 0\nmodel name\t: A CPU @ 2.0GHz\n{flags}\n",
        "proc/meminfo": f"MemTotal: 32000000 kB\nMemAvailable: {500_000 if bad else 30_000_000} kB\n",
        "proc/stat": "cpu 10 0 10 70 0 0 0 10 0 0\n",
        "proc/self/cgroup": "0::/run\n",
        "sys/fs/cgroup/run/cpu.max": "50000 100000" if bad else "max 100000",
        "sys/fs/cgroup/run/cpu.stat": f"usage_usec 5\nthrottled_usec {2_500_000 if bad else 0}\n",
        f"sys/devices/system/cpu/cpu{core}/cpufreq/scaling_governor": "powersave\n" if bad else "performance\n",
        f"sys/devices/system/cpu/cpu{core}/thermal_throttle/core_throttle_count": "3\n" if bad else "0\n",
        "sys/devices/system/cpu/intel_pstate/no_turbo": "0\n" if bad else "1\n",
    }.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return root


def test_doctor(golden: Golden, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    of_files = {"frequency governor", "turbo", "heat", "virtual machine", "memory", "CPU quota"}
    (tmp_path / "empty").mkdir()
    roots = [tmp_path / "empty", planted(tmp_path / "unfit", bad=True), planted(tmp_path / "fit", bad=False)]
    printed, examine = [], doctor.examine
    for root in roots:
        findings = [one for one in examine(tmp_path / "etui.db", root) if one.name in of_files]
        monkeypatch.setattr(doctor, "examine", lambda _, findings=findings: findings)
        shown = CliRunner().invoke(cli, ["--db", str(tmp_path / "etui.db"), "doctor"]).output
        printed.append("\n".join(shown.splitlines()[1:]))  # the first line names this machine
    golden("doctor", re.sub(r"for \d+ cores?", "for N cores", "\n\n".join(printed)))


@pytest.mark.slow
def test_errors(golden: Golden, transcript: Transcript, stored: Stored) -> None:
    nothing = transcript("runs", "show a", "trend --model resnet18")
    stored(make_document("aaaaaaaaaaa1"), make_document("aaaaaaaaaaa2", precision="int8"))
    golden(
        "errors",
        f"{nothing}\n"
        + transcript(
            "", "rnus", "zzzzz", "runs --jsno", "runs --db x", "runs --limit many", "runs --model gpt2", "show",
            "show zzz", "show a", "compare aaaaaaaaaaa1 --fail-if-slower 5", "compare aaaaaaaaaaa1 zzz",
            "run resnt18", "run resnet18 --precision int9", "run resnet18 --timeout inf",
            "run resnet18 --precision fp32 --keep-fp32 fc",
            "trend", "trend 0000 --model resnet18", "gate --baseline none.json", "import none.json", "inspect none.pte",
            "delete aaaaaaaaaaa1", "report aaaaaaaaaaa1 -o report.pdf", "gap aaaaaaaaaaa1 --sort depth",
        ),
    )  # fmt: skip


def test_every_golden_file_belongs_to_a_test() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in FOLDER.parent.rglob("test_*.py"))
    assert {path.stem for path in FOLDER.iterdir()} == set(re.findall(r'golden\(\s*"(\w+)"', sources))
