"""Whether etui's figures are those of plain loops in Python and in C++, and what runner and front end cost beside."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil

from etui.engine.bundle import Bundle
from etui.results import CallTiming
from tests.benchmarks import cpp_loop
from tests.benchmarks.cpp_loop import CppLoop, NoCompiler, Timing
from tests.benchmarks.figures import Figure
from tests.boxes import Box, box_in, until

ROUNDS = 6
SAMPLES = 120
LOOP_SAMPLES = 600
REST_S = 8.0
"""A core that has worked for seconds is a few percent slower than one that comes from a rest or from importing. So both
sides start from the same rest, after all imports, and keep the cores busy for about as long."""

SESSIONS = 5
PRECISIONS = ("fp32", "int8")
CPP_SAMPLES = 400
CPP_WARMUP = 200
"""The C++ loop starts on rested cores; etui's blocks follow preparation and eager's work. So it warms up for longer."""


def figures(folder: Path) -> list[Figure]:
    """Rounds of both, every second one in the other order, so that drift hits both alike."""
    with box_in(folder) as box:
        box.etui("run", "resnet18", "--repeat", "20")
        run = box.document(box.summaries()[0]["id"])
        assert run.artifact is not None and run.threads is not None
        program = box.cache / "programs" / run.artifact.key / "program.pte"
        logs = []
        for number in range(ROUNDS):
            if number % 2:
                loop = _loop_ms(program, run.threads)
                ours = _etui_ms(box)
            else:
                ours = _etui_ms(box)
                loop = _loop_ms(program, run.threads)
            logs.append(math.log(ours / loop))
        share, rss = _overhead(box)
        against_cpp = _against_cpp(box, folder)
    off = statistics.median(logs)
    return [
        Figure(
            "etui's median against a plain loop",
            abs(math.expm1(off)) * 100,
            2.0,
            "%",
            f"median of {ROUNDS} paired ratios {math.exp(off):.4f}, "
            f"from {math.exp(min(logs)):.4f} to {math.exp(max(logs)):.4f}",
        ),
        Figure("CPU of runner and front end while measuring", share * 100, 2.0, "%", "of one core"),
        Figure("memory of runner and front end", rss / 1e6, 150.0, "MB", "RSS of both together"),
        *against_cpp,
    ]


def _against_cpp(box: Box, folder: Path) -> list[Figure]:
    """``execute`` as etui's blocks split it from their calls, against a C++ loop over the same program and inputs.

    Each session stands between two runs of the C++ loop, whose geometric mean it is compared with: a drift of the
    machine cancels. None where the loop cannot be built, which is said.
    """
    try:
        loop = cpp_loop.build(folder)
    except NoCompiler as reason:
        print(f"the comparison with C++ is skipped: {reason}", file=sys.stderr)
        return []
    box.etui("run", "resnet18", "-p", ",".join(PRECISIONS), "--repeat", "3")
    pairs: dict[str, list[tuple[CallTiming, Timing, Timing]]] = {precision: [] for precision in PRECISIONS}
    for _ in range(SESSIONS):
        programs = _programs(box)
        inputs = _raw_inputs(box, folder / "inputs.bin")
        threads = box.document(box.summaries()[0]["id"]).threads or 1
        before = {precision: _cpp(loop, programs[precision], threads, inputs) for precision in PRECISIONS}
        done = box.etui("run", "resnet18", "-p", ",".join(PRECISIONS), "--json")
        after = {precision: _cpp(loop, programs[precision], threads, inputs) for precision in PRECISIONS}
        for summary in json.loads(done.stdout):
            call = box.document(summary["id"]).call
            assert call is not None
            precision = summary["precision"]
            pairs[precision].append((call, before[precision], after[precision]))
    noop = loop.time(programs["fp32"].with_name("noop.pte"), threads=threads, samples=2000, inputs=None)
    return [_cpp_figure(precision, found, noop) for precision, found in pairs.items()]


def _cpp_figure(precision: str, found: list[tuple[CallTiming, Timing, Timing]], noop: Timing) -> Figure:
    def middle(part: str, which: int) -> float:
        return 1e3 * float(statistics.median(getattr(one[which], part) for one in found))

    ratios = [call.execute_ms / math.sqrt(before.execute_ms * after.execute_ms) for call, before, after in found]
    fixed = statistics.median(call.fixed_ms or math.nan for call, _, _ in found) * 1e3
    parts = ", ".join(
        f"{name} {middle(part, 0):.0f} against {statistics.median((middle(part, 1), middle(part, 2))):.0f}"
        for name, part in (("inputs", "inputs_ms"), ("execute", "execute_ms"), ("outputs", "outputs_ms"))
    )
    return Figure(
        f"execute of resnet18 {precision} against C++",
        abs(statistics.median(ratios) - 1) * 100,
        1.0,
        "%",
        f"ratios {' '.join(f'{ratio:.4f}' for ratio in ratios)}; in us: {parts}, "
        f"a no-op call {fixed:.1f} against {noop.call_ms * 1e3:.1f}",
    )


def _cpp(loop: CppLoop, program: Path, threads: int, inputs: Path) -> Timing:
    return loop.time(program, threads=threads, samples=CPP_SAMPLES, warmup=CPP_WARMUP, inputs=inputs)


def _programs(box: Box) -> dict[str, Path]:
    """The newest run's program of each precision."""
    found: dict[str, Path] = {}
    for summary in box.summaries():
        run = box.document(summary["id"])
        assert run.artifact is not None
        found.setdefault(run.precision, box.cache / "programs" / run.artifact.key / "program.pte")
    return found


def _raw_inputs(box: Box, path: Path) -> Path:
    """The inputs that etui's blocks take in turn, as the C++ loop reads them."""
    (folder,) = (box.cache / "models").glob("[0-9a-f]*")
    with path.open("wb") as file:
        for inputs in Bundle.open(folder, "resnet18").inputs():
            for tensor in inputs:
                file.write(tensor.contiguous().numpy().tobytes())
    return path


def _etui_ms(box: Box) -> float:
    time.sleep(REST_S)
    done = box.etui("run", "resnet18", "--repeat", str(SAMPLES), "--warmup", "20", "--json")
    median: float = json.loads(done.stdout)[0]["latency_ms"]["median"]
    return median


def _loop_ms(program: Path, threads: int) -> float:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.benchmarks.plain_loop",
            str(program),
            str(threads),
            str(LOOP_SAMPLES),
            str(REST_S),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def _overhead(box: Box) -> tuple[float, int]:
    """CPU seconds a second, and bytes, of the runner and of ``etui run`` together, over the blocks of a run."""
    front = box.start("run", "resnet18", "--repeat", "2000", "--warmup", "5")
    until(lambda: any(one["status"] == "measuring" for one in box.summaries()))
    pair = [box.runner(), psutil.Process(front.pid)]
    run_id = next(one["id"] for one in box.summaries() if one["status"] == "measuring")
    wall_before, cpu_before = time.monotonic(), _cpu_s(pair)
    rss = sum(process.memory_info().rss for process in pair)
    until(lambda: _blocks(box, run_id) >= 8)
    wall, cpu = time.monotonic() - wall_before, _cpu_s(pair) - cpu_before
    box.etui("cancel", run_id)
    front.communicate()
    return cpu / wall, rss


def _blocks(box: Box, run_id: str) -> int:
    run = box.document(run_id)
    return len(run.blocks) + len(run.eager_blocks)


def _cpu_s(processes: list[psutil.Process]) -> float:
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))
