"""Correctness of the verdicts on this machine: known slowdowns, a load in one block, and a busy core throughout."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import msgspec

from etui.analysis.comparison import RunComparison, compare
from etui.analysis.flags import find_flags
from etui.analysis.latency import latency_stats
from etui.analysis.relative_change import change, change_interval
from etui.jobs import MeasureJob
from etui.results import Block, RunDocument
from etui.spec import PRESETS
from etui.text import signed
from tests.benchmarks.figures import Figure
from tests.benchmarks.load import busy_core
from tests.documents import ENVIRONMENT, make_document
from tests.machines import Machine, machine_in

MODEL = "resnet18"
SLOWDOWNS = (0.0, 0.03, 0.05, 0.10)
LOADED_BLOCK = 3
PRESET = PRESETS["default"]


def figures(folder: Path) -> list[Figure]:
    """Each slowdown is added to the same program, measured by the engine, and compared like any pair."""
    with machine_in(folder) as machine:
        machine.etui("run", MODEL, "--repeat", "20", "--warmup", "2")
        job = _job(machine)
        figures = [figure for slowdown in SLOWDOWNS for figure in _planted(job, slowdown)]
        return [*figures, *_load_in_one_block(job), _burning(machine)]


def _planted(job: MeasureJob, slowdown: float) -> list[Figure]:
    result, blocks = _session(job, slowdown)
    assert result.ratio is not None and result.ci95 is not None
    truth = 1 / (1 + slowdown)
    low, high = change_interval(result.ci95)
    shown = f"{result.verdict}: {signed(change(result.ratio))} ({signed(low)} to {signed(high)})"
    shown += f", something else on up to {max(block.foreign_cpu_cores or 0.0 for block in blocks):.2f} cores"
    made = [
        Figure(
            f"planted {slowdown:.0%}: interval misses it",
            float(not result.ci95[0] <= truth <= result.ci95[1]),
            0,
            "times",
            shown,
        )
    ]
    if slowdown >= 0.05:
        made.append(
            Figure(f"planted {slowdown:.0%}: not called slower", float(result.verdict != "slower"), 0, "times", shown)
        )
    return made


def _load_in_one_block(job: MeasureJob) -> list[Figure]:
    """Time both sides of one block while another process keeps a core busy."""
    loaded, blocks = _session(job, 0.0, loaded=LOADED_BLOCK)
    flags = find_flags(
        stats=latency_stats(blocks),
        blocks=blocks,
        eager_blocks=[],
        environment=None,
        planned_blocks=PRESET.blocks,
        fixed_samples=False,
    )
    assert loaded.ratio is not None and loaded.ci95 is not None
    half_width = (loaded.ci95[1] - loaded.ci95[0]) / 2
    return [
        Figure("load in one block: not flagged", float("foreign load" not in {flag.name for flag in flags}), 0, "times",
               "; ".join(f"{flag.name}: {flag.detail}" for flag in flags)),
        Figure("load in one block: the ratio moves by", abs(loaded.ratio - 1) / half_width, 1.0, "of half its interval",
               f"{loaded.verdict}: ratio {loaded.ratio:.4f} of the same program under two labels"),
    ]  # fmt: skip


def _burning(machine: Machine) -> Figure:
    """Run ``etui run`` while a loop keeps a core busy; check that the row, the details and the JSON report it."""
    with busy_core():
        done = machine.etui("run", MODEL, "--preset", "quick", "--json")
    (run,) = json.loads(done.stdout)
    places = {
        "JSON": "foreign load" in run["flags"],
        "row": "foreign load" in machine.etui("runs").stdout.splitlines()[1],
        "details": "flag         foreign load: something else used" in machine.etui("show", run["id"]).stdout,
    }
    silent = [place for place, reports in places.items() if not reports]
    return Figure("a core burns during etui run: places silent", float(len(silent)), 0, "of 3", ", ".join(run["flags"]))


def _session(job: MeasureJob, slowdown: float, loaded: int | None = None) -> tuple[RunComparison, list[Block]]:
    """Measure the program and the slowed program in interleaved blocks, each in a fresh process, and compare them."""
    sides: dict[str, list[Block]] = {"plain": [], "slowed": []}
    for index in range(PRESET.blocks):
        order = list(sides) if index % 2 == 0 else list(reversed(sides))
        for position, side in enumerate(order):
            one = msgspec.structs.replace(job, index=index, position=position, variant=side)
            with busy_core(index == loaded):
                sides[side].append(_block(one, slowdown if side == "slowed" else 0.0))
    base, other = _document("aaaaaaaaaaa1", sides["plain"]), _document("bbbbbbbbbbb2", sides["slowed"])
    (comparison,) = compare(base, [other])
    return comparison, sides["slowed"]


def _block(job: MeasureJob, slowdown: float) -> Block:
    """Measure one block in a fresh process that waits busily, inside the measured call, for this share of its time."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.slowed_block", str(slowdown)],
        input=msgspec.json.encode(job),
        capture_output=True,
        check=True,
    )
    return msgspec.json.decode(done.stdout.splitlines()[-1], type=Block)


def _job(machine: Machine) -> MeasureJob:
    """Return the job of a block of the default preset, for the prepared program."""
    run = machine.document(machine.summaries()[0]["id"])
    assert run.artifact is not None and run.threads is not None
    (bundle,) = [path for path in (machine.cache / "models").iterdir() if path.is_dir()]
    return MeasureJob(
        bundle=str(bundle), model=MODEL, program=str(machine.cache / "programs" / run.artifact.key / "program.pte"),
        delegate=run.delegate, variant="plain", index=0, position=0, threads=run.threads, warmup=None, samples=None,
        block_s=PRESET.block_s, min_samples=5, min_warmup=3, limit_s=30.0,
    )  # fmt: skip


def _document(run_id: str, blocks: list[Block]) -> RunDocument:
    made = make_document(run_id)
    made.blocks, made.latency_ms, made.environment = blocks, latency_stats(blocks), ENVIRONMENT
    return made
