"""Agreement of etui's latencies with plain loops in Python and in C++, and the overhead of runner and front end."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
from pathlib import Path

import psutil

from etui.engine.lowering.noop_program import NOOP
from etui.engine.models.bundle import Bundle
from etui.jobs import MeasureJob
from etui.results import CallTiming
from etui.spec import PRESETS
from tests.benchmarks import cpp_loop
from tests.benchmarks.blocks import Workers
from tests.benchmarks.bursts import Timing, in_cpp, in_etui
from tests.benchmarks.cpp_loop import NoCompiler
from tests.benchmarks.figures import Figure
from tests.machines import Machine, machine_in, until

ROUNDS = 6
SAMPLES = 600
REST_S = 8.0
"""A core that has been busy for seconds is a few percent slower than one after a rest or after importing. So both sides
start after the same rest and all imports, and take the same number of samples, which keeps the cores busy for about
the same time."""

SESSIONS = 5
PRECISIONS = ("fp32", "int8")
PARTS = ("inputs_ms", "execute_ms", "outputs_ms")
BURSTS = 16
BURST = (5, 15)
"""Untimed and timed calls of a burst; the first are needed because the other process has just used the caches."""

BLOCK_PAIRS = 12
BLOCK_WARMUP = 20

CPP_SAMPLES = 400
NOOP_CALLS = 2000
WARMUP = 200
"""The C++ loop starts on rested cores, while etui's blocks follow other work, so the loop has a longer warm-up."""


def figures(folder: Path) -> list[Figure]:
    """Measure with etui between two plain loops, whose geometric mean is the reference, so that drift cancels."""
    with machine_in(folder) as machine:
        machine.etui("run", "resnet18", "--repeat", "20")
        run = machine.document(machine.summaries()[0]["id"])
        assert run.artifact is not None and run.threads is not None
        program = machine.cache / "programs" / run.artifact.key / "program.pte"
        logs = []
        before = _loop_ms(program, run.threads)
        for _ in range(ROUNDS):
            ours, after = _etui_ms(machine), _loop_ms(program, run.threads)
            logs.append(math.log(ours / math.sqrt(before * after)))
            before = after
        share, rss = _overhead(machine)
        against_cpp = _against_cpp(machine, folder)
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


def _against_cpp(machine: Machine, folder: Path) -> list[Figure]:
    """Compare ``execute`` in etui with a C++ loop over the same program and inputs; nothing if the loop cannot be
    built."""
    try:
        binary = cpp_loop.build(folder)
    except NoCompiler as reason:
        print(f"the comparison with C++ is skipped: {reason}", file=sys.stderr)
        return []
    machine.etui("run", "resnet18", "-p", ",".join(PRECISIONS), "--repeat", "3")
    threads = machine.document(machine.summaries()[0]["id"]).threads or 1
    programs, bundle = _programs(machine), _bundle(machine)
    inputs = _raw_inputs(bundle, folder / "inputs.bin")
    figures = []
    for precision, program in programs.items():
        pairs = [_bursts(binary, program, threads, bundle, inputs) for _ in range(SESSIONS)]
        figures.append(_burst_figure(precision, pairs))
    for precision, program in programs.items():
        figures.append(_block_figure(precision, binary, program, threads, bundle, inputs))
    return [*figures, *_session_figures(machine, binary, programs, threads, inputs)]


def _bursts(binary: Path, program: Path, threads: int, bundle: Path, inputs: Path) -> list[tuple[Timing, Timing]]:
    """Alternate bursts of a worker and of the C++ loop, every second pair in the other order."""
    with in_etui(program, threads, bundle) as worker, in_cpp(binary, program, threads, inputs) as loop:
        worker.time(WARMUP, 1)
        loop.time(WARMUP, 1)
        pairs = []
        for number in range(BURSTS):
            if number % 2:
                theirs, ours = loop.time(*BURST), worker.time(*BURST)
            else:
                ours, theirs = worker.time(*BURST), loop.time(*BURST)
            pairs.append((ours, theirs))
    return pairs


def _burst_figure(precision: str, sessions: list[list[tuple[Timing, Timing]]]) -> Figure:
    def ratios(part: str) -> list[float]:
        return [
            statistics.median(getattr(one, part) / getattr(other, part) for one, other in pairs) for pairs in sessions
        ]

    def middle(part: str, side: int) -> float:
        return 1e3 * float(statistics.median(getattr(pair[side], part) for pairs in sessions for pair in pairs))

    parts = ", ".join(f"{part[:-3]} {middle(part, 0):.0f} / {middle(part, 1):.0f}" for part in PARTS)
    return Figure(
        f"execute of resnet18 {precision} against C++, bursts in turn",
        abs(statistics.median(ratios("execute_ms")) - 1) * 100,
        1.0,
        "%",
        f"{SESSIONS} pairs of processes: {' '.join(f'{ratio:.4f}' for ratio in ratios('execute_ms'))}; "
        f"whole call {statistics.median(ratios('call_ms')):.4f}; us in etui / C++: {parts}",
    )


def _block_figure(precision: str, binary: Path, program: Path, threads: int, bundle: Path, inputs: Path) -> Figure:
    """Compare whole blocks of the default preset, each in a fresh worker, alternately with the C++ loop for the same
    time in a fresh process: everything that a session does, but close enough in time to compare."""
    preset = PRESETS["default"]
    job = MeasureJob(
        bundle=str(bundle), model="resnet18", program=str(program), delegate="xnnpack", variant=precision, index=0,
        position=0, threads=threads, warmup=None, samples=None, block_s=preset.block_s, min_samples=5, min_warmup=3,
        limit_s=30.0,
    )  # fmt: skip
    ratios, whole = [], []
    with Workers() as workers:
        samples = len(workers.measure(job).samples_ms)

        def in_block() -> tuple[float, float]:
            block = workers.measure(job)
            assert block.call is not None
            return block.call.execute_ms, statistics.median(block.samples_ms)

        def in_loop() -> tuple[float, float]:
            with in_cpp(binary, program, threads, inputs) as loop:
                timing = loop.time(BLOCK_WARMUP, samples)
            return timing.execute_ms, timing.call_ms

        for number in range(BLOCK_PAIRS):
            if number % 2:
                theirs, ours = in_loop(), in_block()
            else:
                ours, theirs = in_block(), in_loop()
            ratios.append(ours[0] / theirs[0])
            whole.append(ours[1] / theirs[1])
    return Figure(
        f"execute of resnet18 {precision} against C++, blocks in turn",
        abs(statistics.median(ratios) - 1) * 100,
        1.0,
        "%",
        f"{BLOCK_PAIRS} pairs of processes: {' '.join(f'{ratio:.3f}' for ratio in ratios)}; "
        f"whole call {statistics.median(whole):.4f}",
    )


def _session_figures(
    machine: Machine, binary: Path, programs: dict[str, Path], threads: int, inputs: Path
) -> list[Figure]:
    """Compare whole sessions of etui. Each is between two runs of the C++ loop, and is compared with their geometric
    mean, so that a steady drift of the machine cancels. The difference of the C++ loop before and after a session is
    the resolution of such a comparison."""
    calls: dict[str, list[CallTiming]] = {precision: [] for precision in programs}
    loops: dict[str, list[float]] = {precision: [] for precision in programs}
    moved: dict[str, list[float]] = {precision: [] for precision in programs}
    for _ in range(SESSIONS):
        before = {name: _execute_in_cpp(binary, program, threads, inputs) for name, program in programs.items()}
        done = machine.etui("run", "resnet18", "-p", ",".join(PRECISIONS), "--json")
        after = {name: _execute_in_cpp(binary, program, threads, inputs) for name, program in programs.items()}
        for summary in json.loads(done.stdout):
            call = machine.document(summary["id"]).call
            assert call is not None
            calls[summary["precision"]].append(call)
            first, last = before[summary["precision"]], after[summary["precision"]]
            loops[summary["precision"]].append(math.sqrt(first * last))
            moved[summary["precision"]].append(abs(math.log(last / first)))
    with in_cpp(binary, programs["fp32"].with_name(NOOP), threads) as loop:
        noop_ms = loop.time(WARMUP, NOOP_CALLS).call_ms
    return [
        _session_figure(precision, calls[precision], loops[precision], moved[precision], noop_ms)
        for precision in programs
    ]


def _session_figure(
    precision: str, calls: list[CallTiming], loops: list[float], moved: list[float], noop_ms: float
) -> Figure:
    ratios = [call.execute_ms / loop for call, loop in zip(calls, loops, strict=True)]
    fixed_us = 1e3 * statistics.median(call.fixed_ms or math.nan for call in calls)
    return Figure(
        f"execute of resnet18 {precision} against C++, whole sessions",
        abs(statistics.median(ratios) - 1) * 100,
        max(1.0, 100 * statistics.median(moved)),
        "%",
        f"{SESSIONS} sessions: {' '.join(f'{ratio:.4f}' for ratio in ratios)}; the C++ loop differed by "
        f"{' '.join(f'{100 * change:.1f}' for change in moved)} % before and after; a no-op call takes "
        f"{fixed_us:.1f} us, in C++ {noop_ms * 1e3:.2f}",
    )


def _execute_in_cpp(binary: Path, program: Path, threads: int, inputs: Path) -> float:
    with in_cpp(binary, program, threads, inputs) as loop:
        return loop.time(WARMUP, CPP_SAMPLES).execute_ms


def _programs(machine: Machine) -> dict[str, Path]:
    """Return the newest run's program of each precision."""
    programs: dict[str, Path] = {}
    for summary in machine.summaries():
        run = machine.document(summary["id"])
        assert run.artifact is not None
        programs.setdefault(run.precision, machine.cache / "programs" / run.artifact.key / "program.pte")
    return programs


def _bundle(machine: Machine) -> Path:
    """Return the folder of the model's weights and inputs."""
    (folder,) = (machine.cache / "models").glob("[0-9a-f]*")
    return folder


def _raw_inputs(bundle: Path, path: Path) -> Path:
    """Write the inputs of etui's blocks in the format of the C++ loop."""
    with path.open("wb") as file:
        for inputs in Bundle.open(bundle, "resnet18").inputs():
            for tensor in inputs:
                file.write(tensor.contiguous().numpy().tobytes())
    return path


def _etui_ms(machine: Machine) -> float:
    time.sleep(REST_S)
    done = machine.etui("run", "resnet18", "--repeat", str(SAMPLES), "--warmup", "20", "--json")
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
            str(SAMPLES),
            str(REST_S),
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.split()[-1])


def _overhead(machine: Machine) -> tuple[float, int]:
    """Return CPU seconds per second, and bytes, of the runner and ``etui run`` together, over the blocks of a run."""
    front = machine.start("run", "resnet18", "--repeat", "2000", "--warmup", "5")
    until(lambda: any(one["status"] == "measuring" for one in machine.summaries()))
    pair = [machine.runner(), psutil.Process(front.pid)]
    run_id = next(one["id"] for one in machine.summaries() if one["status"] == "measuring")
    wall_before, cpu_before = time.monotonic(), _cpu_s(pair)
    rss = sum(process.memory_info().rss for process in pair)
    until(lambda: _blocks(machine, run_id) >= 8)
    wall, cpu = time.monotonic() - wall_before, _cpu_s(pair) - cpu_before
    machine.etui("cancel", run_id)
    front.communicate()
    return cpu / wall, rss


def _blocks(machine: Machine, run_id: str) -> int:
    run = machine.document(run_id)
    return len(run.blocks) + len(run.eager_blocks)


def _cpu_s(processes: list[psutil.Process]) -> float:
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))
